"""Who may write an output: lease.json names one run, and for how long nobody else may.

A run renews its lease every RENEWAL_SECONDS. One without a sign for LOST_SECONDS is taken over, and
if it was only asleep, it sees that on waking up and ends. Rows do not depend on any of this: blocks
are the same whoever does them, so two runs would only do them twice.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcrelu.errors import ForeignOutputError, ResourceError
from mcrelu.runtime.heartbeat import LOST_SECONDS, is_process, now, this_run
from mcrelu.store.files import Files, OversizedError
from mcrelu.store.remote_store import SETTLING_SECONDS
from mcrelu.store.retrying_store import impatience

LEASE = "lease.json"

RENEWAL_SECONDS = 5.0
LOOK_SECONDS = 1.0  # between looks at a lease that may be a lost run's
RELEASE_SECONDS = 15.0  # that a renewal may still take when a run ends

_MOST_BYTES = 2**16

_of_this_process: set[str] = set()  # leases that it has; one that could not be given back is none


class _Holder(BaseModel):
    """What a lease says."""

    model_config = ConfigDict(strict=True, extra="ignore")

    lease: Annotated[str, Field(max_length=64)]
    host: Annotated[str, Field(max_length=256)]
    pid: Annotated[int, Field(ge=0, lt=2**31)]
    process_started: Annotated[str, Field(max_length=64)] | None
    renewed: Annotated[str, Field(max_length=64)]

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def local(self) -> bool:
        """Whether its process can be looked for on this machine."""
        return self.host == socket.gethostname() and self.process_started is not None

    @property
    def lives(self) -> bool:
        """Whether its run, in a process of this machine, still goes on."""
        if self.pid == os.getpid():
            return self.lease in _of_this_process
        return is_process(self.pid, self.process_started)


class Lease:
    """The right of a run to write an output.

    As a context it gives back in the end what was taken in it.

    Parameters
    ----------
    files : of the output
    join : whether to write beside the run that has the lease, and have it after that one's end
    say : told when there is to be waiting
    """

    def __init__(
        self, files: Files, *, join: bool = False, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.joins = join
        self._files, self._say = files, say
        self._id = uuid.uuid4().hex
        self._gone: str | None = None  # the lease of a run that gave no sign while it was watched
        self._renewing: Thread | None = None
        self._over = Event()
        self._successor: _Holder | None = None
        self._beside: _Holder | None = None  # whom this run joined, as last seen,
        self._looks = 0  # and since how many looks without a change

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        _of_this_process.discard(self._id)
        if self._renewing is None:
            return
        self._over.set()
        self._renewing.join(RELEASE_SECONDS)
        try:
            with impatience():
                if self._is_ours(self._holder()):
                    self._files.delete(LEASE)
        except ResourceError:
            pass  # then it runs out

    def refuse_company(self) -> None:
        """Look whether another run has the lease; where that cannot be seen, watch it for a while.

        On this machine its process is looked for. Elsewhere its lease must change: times of two
        machines need not agree.

        Raises
        ------
        ForeignOutputError
            If one has it, and this one does not mean to join it.
        ResourceError
            If the store does not answer.
        """
        holder = self._holder()
        if self.joins or holder is None or self._is_ours(holder) or holder.lease == self._gone:
            return
        if holder.local:
            if holder.lives:
                raise self._refusal(holder)
            return
        self._say(f"{holder} ran into the output; waiting {LOST_SECONDS:.0f} s for a sign of it")
        end = time.monotonic() + LOST_SECONDS
        while time.monotonic() < end:
            time.sleep(LOOK_SECONDS)
            later = self._holder()
            if later is None:
                return
            if later != holder:
                raise self._refusal(later)
        self._gone = holder.lease

    def take(self) -> None:
        """Have the lease from now on, or be beside who has it.

        Raises
        ------
        ForeignOutputError
            If another run has it.
        ResourceError
            If the store does not take it.
        """
        if self._renewing is not None:
            return
        self.refuse_company()
        _of_this_process.add(self._id)
        content = self._content()
        if not self._files.create(LEASE, content) and not self.joins:
            self._take_over(content)
        self._renewing = Thread(target=self._renew, name="renews a lease", daemon=True)
        self._renewing.start()

    @property
    def lost(self) -> bool:
        """Whether another run has taken it over."""
        return self._successor is not None

    def loss(self) -> ForeignOutputError:
        """The error of a run that lost it."""
        return ForeignOutputError(
            f"{self._files.shown}: {self._successor} took it over, since this run gave no sign for "
            f"{LOST_SECONDS:.0f} s; it goes on there, see mcrelu status {self._files.shown}"
        )

    def _take_over(self, content: bytes) -> None:
        self.refuse_company()  # whoever was faster, or the lost run
        self._files.publish(LEASE, content)
        time.sleep(SETTLING_SECONDS)  # several may have seen that a run is lost; the last has it
        holder = self._holder()
        if holder is not None and not self._is_ours(holder):
            raise self._refusal(holder)

    def _renew(self) -> None:
        while not self._over.wait(RENEWAL_SECONDS):
            try:
                with impatience():
                    self._renew_once()
            except ResourceError:
                self._beside = None  # no sign could be seen
                continue  # the store may come back in time
            if self.lost:
                return

    def _renew_once(self) -> None:
        holder = self._holder()
        if holder is None or self._is_ours(holder):
            self._files.publish(LEASE, self._content())
        elif not self.joins:
            self._successor = holder
        elif self._has_vanished(holder):
            self._files.publish(LEASE, self._content())

    def _has_vanished(self, holder: _Holder) -> bool:
        """Whether the run beside this one is gone without giving its lease back."""
        if holder.local:
            return not holder.lives
        self._looks = self._looks + 1 if holder == self._beside else 0
        self._beside = holder
        return self._looks * RENEWAL_SECONDS > LOST_SECONDS

    def _holder(self) -> _Holder | None:
        """Who has the lease; None if nobody, or if it is none of ours."""
        try:
            content = self._files.read(LEASE, _MOST_BYTES)
            return None if content is None else _Holder.model_validate_json(content)
        except (ValidationError, OversizedError):
            return None

    def _is_ours(self, holder: _Holder | None) -> bool:
        return holder is not None and holder.lease == self._id

    def _content(self) -> bytes:
        run = this_run()
        own = {key: run[key] for key in ("host", "pid", "process_started")}
        return json.dumps({"lease": self._id, **own, "renewed": now()}).encode()

    def _refusal(self, holder: _Holder) -> ForeignOutputError:
        return ForeignOutputError(
            f"{self._files.shown}: {holder} runs into it (last sign {holder.renewed}); wait until "
            f"it ends (a run that vanished counts as ended after {LOST_SECONDS:.0f} s), or give "
            "--join to help it"
        )

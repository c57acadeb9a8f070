// The server: asked for values, and listened to; found again after it was away.

const AGAIN = 2000; // milliseconds until it is tried again

export async function get(path, signal) {
  const response = await fetch(path, { signal, headers: { Accept: "application/json" } });
  const found = await response.json();
  if (!response.ok) throw new Error(found.error ?? `status ${response.status}`);
  return found;
}

// Tell what the server says, and whether it is there; silent while nobody looks at the page.
export function follow(take, tell) {
  let source = null, timer = null;

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }
  function open() {
    close();
    source = new EventSource("/api/events");
    source.addEventListener("open", () => tell(true));
    source.addEventListener("message", (event) => take(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      tell(false);
      close();
      timer = setTimeout(open, AGAIN);
    });
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
}

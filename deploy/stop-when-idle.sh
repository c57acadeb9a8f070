# sh stop-when-idle.sh MINUTES COMMAND...: shut this machine down once COMMAND, which says whether it
# is in use, has failed for so long.
minutes=$1
shift
idle=0
while [ "$idle" -lt "$minutes" ]; do
    sleep 60
    if "$@" >/dev/null 2>&1; then idle=0; else idle=$((idle + 1)); fi
done
sudo shutdown -h now

# sh stop-when-idle.sh MINUTES: shut this head node down once no job has run for so long.
idle=0
while [ "$idle" -lt "$1" ]; do
    sleep 60
    if ray job list 2>/dev/null | grep -q "status=.*\(RUNNING\|PENDING\)"; then
        idle=0
    else
        idle=$((idle + 1))
    fi
done
sudo shutdown -h now

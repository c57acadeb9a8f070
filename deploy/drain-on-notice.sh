# sh drain-on-notice.sh HEAD:PORT [METADATA]: once AWS gives notice that it takes this spot machine
# back, two minutes ahead, tell Ray: the node then gets no new blocks, and those it has may end.
address=$1
metadata=${2:-http://169.254.169.254/latest}
until
    sleep 5
    token=$(curl -sf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/api/token") &&
        curl -sf -m 2 -o /dev/null -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/spot/instance-action"
do :; done
node=$(pgrep -o -a raylet | tr ' ' '\n' | sed -n 's/^--node_id=//p')
ray drain-node --address "$address" --node-id "$node" --reason DRAIN_NODE_REASON_PREEMPTION \
    --reason-message spot --deadline-remaining-seconds 110

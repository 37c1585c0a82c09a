#!/bin/sh
# Runs the broker with the settings of the mode that KAFKA_MODE names: kraft, or zookeeper. The storage of a new KRaft
# broker is formatted first, under a cluster id of its own. The arguments are the broker's.
set -eu
here=$(dirname "$0")
bin=${KAFKA_HOME:-/opt/kafka}/bin
properties=$here/$KAFKA_MODE.properties
data=$(sed -n 's/^log\.dirs=//p' "$properties")

case $KAFKA_MODE in
    # ZooKeeper went with the 3.x line, and so did its way of logging.
    zookeeper) export KAFKA_LOG4J_OPTS="-Dlog4j.configuration=file:$here/log4j.properties" ;;
    *) export KAFKA_LOG4J_OPTS="-Dlog4j2.configurationFile=$here/log4j2.yaml" ;;
esac
if [ "$KAFKA_MODE" = kraft ] && [ ! -s "$data/meta.properties" ]; then
    cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
    "$bin/kafka-storage.sh" format --config "$properties" --cluster-id="$cluster"
fi
exec "$bin/kafka-server-start.sh" "$properties" "$@"

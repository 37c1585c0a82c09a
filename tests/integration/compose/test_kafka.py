"""The broker of compose.yaml: our script and our settings, on Kafka itself, with ZooKeeper and without."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from broker.jars import POM, ensure_jars
from broker.local import JVM
from broker.requirements import PartMissing, find_java, find_maven
from tests.composition import ROOT, services
from tests.integration.compose.containers import Container, free_port
from tests.parts import missing

SOURCE = ROOT / "docker" / "kafka"
MOUNTED = "/etc/workbench"
# What the image has in its bin/: each begins a class of Kafka's with the options that the environment gives.
PROGRAMS = {
    "kafka-server-start.sh": "kafka.Kafka",
    "kafka-storage.sh": "kafka.tools.StorageTool",
    "zookeeper-server-start.sh": "org.apache.zookeeper.server.quorum.QuorumPeerMain",
}
OLDER = {"KAFKA_MODE": "zookeeper", "KAFKA_VERSION": "3.9.2"}


def kafka_home(folder: Path, jars: Path) -> Path:
    """A folder as /opt/kafka is in the image, as far as it is used."""
    programs = folder / "kafka" / "bin"
    programs.mkdir(parents=True)
    for name, main in PROGRAMS.items():
        program = programs / name
        given = f"{' '.join(JVM)} $KAFKA_HEAP_OPTS $KAFKA_LOG4J_OPTS"
        program.write_text(f"#!/bin/sh\nexec {find_java()} {given} -cp '{jars}/*' {main} \"$@\"\n")
        program.chmod(0o755)
    return programs.parent


def on_this_machine(service: Mapping[str, Any], folder: Path, places: Mapping[str, str]) -> dict[str, Any]:
    """The service with our settings copied, and the ports, names and folders in them replaced."""
    copy = folder / "settings"
    if not copy.exists():
        shutil.copytree(SOURCE, copy)
        for file in copy.glob("*.properties"):
            text = file.read_text()
            for old, new in places.items():
                assert old not in ("9092", "9093") or file.name != "kraft.properties" or old in text
                text = text.replace(old, new)
            file.write_text(text)
    volumes = [it | ({"source": str(copy)} if it["target"] == MOUNTED else {}) for it in service["volumes"]]
    return {**service, "volumes": volumes}


def broker_and_zookeeper(folder: Path, jars: Path, profile: str = "", **settings: str) -> dict[str, Container]:
    """The services of the stream, ready to be started."""
    found = services(profile, **settings)
    ports = {"9092": str(free_port()), "9093": str(free_port()), "2181": str(free_port())}
    home = kafka_home(folder, jars)
    names = {"kafka:": "127.0.0.1:", "zookeeper:2181": f"127.0.0.1:{ports['2181']}"}
    data = {"zookeeper": folder / "volumes" / "zookeeper", "kafka": folder / "volumes" / "kafka"}
    inside = {
        "/var/lib/kafka/data/ensemble": str(data["zookeeper"] / "ensemble"),
        "/var/lib/kafka/data": str(data["kafka"]),
    }
    files = {**inside, **names, **ports}
    given = {"KAFKA_HOME": "/opt/kafka"}
    places = {**ports, "/opt/kafka": str(home)}
    return {
        name: Container(name, on_this_machine(found[name], folder, files), folder=folder, places=places, given=given)
        for name in ("zookeeper", "kafka")
        if name in found
    }


def make_topic(folder: Path, broker: Container) -> str:
    """What the service `topic` says when it runs on this broker."""
    address = broker.health_url().rpartition("/dev/tcp/")[2].replace("/", ":")
    return Container("topic", services()["topic"], folder=folder, places={"kafka:9092": address}).run()


def cluster_id(folder: Path, mode: str) -> str:
    """Under which id the broker has made its storage."""
    lines = (folder / "volumes" / "kafka" / mode / "meta.properties").read_text().splitlines()
    return next(line for line in lines if line.startswith("cluster.id"))


def test_the_broker_formats_its_storage_once_and_keeps_it_over_restarts(tmp_path: Path) -> None:
    try:
        jars = ensure_jars()
    except PartMissing as reason:
        missing(str(reason))
    with broker_and_zookeeper(tmp_path, jars)["kafka"].start() as kafka:
        assert "tenant_events is as it must be, with 12 partitions" in make_topic(tmp_path, kafka)
        first = cluster_id(tmp_path, "kraft")
        kafka.stop()
        assert not kafka.is_healthy()
        kafka.start()
        assert cluster_id(tmp_path, "kraft") == first


@pytest.mark.long
def test_the_older_pair_of_broker_and_zookeeper_takes_the_topic_as_well(tmp_path: Path) -> None:
    jars = tmp_path / "jars"
    try:
        fetch = [str(find_maven()), "-q", "-B", "-f", str(POM), f"-Dkafka.version={OLDER['KAFKA_VERSION']}"]
        fetch += ["dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        subprocess.run(fetch, check=True, capture_output=True, timeout=240)
    except (PartMissing, subprocess.CalledProcessError) as reason:
        missing(f"The jars of the older Kafka cannot be fetched: {reason}")
    parts = broker_and_zookeeper(tmp_path, jars, "zookeeper", **OLDER)
    with parts["zookeeper"].start(), parts["kafka"].start() as kafka:
        assert "tenant_events is as it must be, with 12 partitions" in make_topic(tmp_path, kafka)
        assert cluster_id(tmp_path, "zookeeper")

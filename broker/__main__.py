"""`make kafka`: a broker in the foreground, for development, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from broker.jars import FOLDER, kafka_version
from broker.local import BrokerFailed, LocalBroker
from pipeline.core.errors import WorkbenchError
from workbench.cli.output import note, print_error, say
from workbench.cli.signals import Ending, shielded

FAILED = 1
LOOK_SECONDS = 0.5


def main(
    folder: Annotated[Path, typer.Option(help="Where its data and its log are.")] = Path(".kafka/data"),
    port: Annotated[int, typer.Option(help="The port for clients; 0 keeps the last one, or chooses one.")] = 9092,
) -> None:
    """Run a real Apache Kafka broker on this machine, without Docker, until Ctrl-C.

    It needs Java 17, and Maven at the first start, which fetches 44 MiB of jars
    into .kafka. One node, no passwords, on 127.0.0.1 alone: for development. Its
    data is kept over restarts; to begin anew, stop it and remove its folder.

    Examples:
      make kafka
      python -m broker --port 9093 --folder .kafka/other

    Next, in another terminal: the line that it prints, then `workbench up`.
    """
    ending = Ending()
    ending.install()
    broker = LocalBroker(folder, port=port)
    try:
        note(f"Kafka {kafka_version()} starts; jars are fetched once, into {FOLDER.name}.")
        broker.start()
        say(f"export KAFKA_BOOTSTRAP_SERVERS={broker.bootstrap}")
        note(f"It runs until Ctrl-C. Data is kept in {folder}, with the log in {folder / 'broker.log'}.")
        _wait(broker, ending)
    except KeyboardInterrupt:
        note("Stopped before it answered.")
    except WorkbenchError as error:
        print_error(error)
        raise typer.Exit(FAILED) from error
    finally:
        with shielded():
            broker.stop()


def _wait(broker: LocalBroker, ending: Ending) -> None:
    while not ending.wait(LOOK_SECONDS):
        if not broker.running:
            raise BrokerFailed(f"The broker ended by itself. From its log:\n{broker.complaints()}")


if __name__ == "__main__":
    typer.run(main)

"""`sandbox`: a local Microsoft Entra and Dataverse, and a configuration that points at it."""

from pathlib import Path

import click

from didomi_dataverse.cli.help import example
from didomi_dataverse.cli.options import run


@click.command(epilog=example("sandbox --port 8443 --dir sandbox"))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8443,
    show_default=True,
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default="sandbox",
    show_default=True,
    help="Where ca.pem and config.yaml are written.",
)
@click.option(
    "--service-port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="The port that the written config.yaml gives to `serve`.",
)
def sandbox(port: int, directory: Path, service_port: int) -> None:
    """Run a local Microsoft Entra and Dataverse.

    Serves both over TLS until Ctrl-C. Writes a complete configuration that points at them, and prints one
    line of JSON when it is ready.
    """
    from dataverse_sandbox import SandboxServer, run_sandbox
    from didomi_dataverse.demo.sandbox_config import write_config

    def write(server: SandboxServer) -> dict[str, str]:
        path = write_config(server.directory, server.url, server.identity, service_port=service_port)
        return {"config": str(path.resolve())}

    run(run_sandbox(port, directory, announce=click.echo, add_to_ready_line=write))

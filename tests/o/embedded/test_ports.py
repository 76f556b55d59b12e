import socket

import pytest

from o.embedded import ports


def test_a_taken_port_is_named_with_what_changes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ports.PortTaken, match=rf"port {port} on 127.0.0.1 is taken .* --ui-port or O_UI_PORT"):
            ports.check("127.0.0.1", port, "--ui-port", "O_UI_PORT")


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host."])
def test_an_address_of_somebody_else_is_refused(host: str) -> None:
    with pytest.raises(ports.PortTaken, match="--host or O_HOST"):
        ports.listen(host, 0, "--port", "O_PORT")


def test_connections_wait_in_the_socket_until_somebody_accepts() -> None:
    with (
        ports.listen("127.0.0.1", 0, "--port", "O_PORT") as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        client.sendall(b"early")
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(5) == b"early"


def test_a_free_port_can_be_listened_on() -> None:
    ports.listen("127.0.0.1", ports.free(), "--port", "O_PORT").close()

"""What `gateway/http2/ngh2_engine.py` uses of ngh2 0.3, for a type checker that runs where the
extra `http2-ngh2` is not installed."""

from collections.abc import Iterable, Mapping
from enum import Enum, IntEnum

class NGH2Error(Exception): ...
class ConnectionStateError(NGH2Error): ...
class ProtocolError(NGH2Error): ...
class DenialOfServiceError(ProtocolError): ...

class Role(Enum):
    SERVER = "server"

class Setting(IntEnum):
    MAX_FRAME_SIZE = 0x5

class Event: ...

class RequestReceived(Event):
    stream_id: int
    headers: tuple[tuple[bytes, bytes], ...]
    end_stream: bool

class TrailersReceived(Event):
    stream_id: int
    headers: tuple[tuple[bytes, bytes], ...]

class DataReceived(Event):
    stream_id: int
    data: bytes
    end_stream: bool

class StreamReset(Event):
    stream_id: int
    error_code: int

class SettingsReceived(Event):
    settings: Mapping[int, int]

class WindowUpdated(Event):
    stream_id: int

class PingAcknowledged(Event):
    opaque_data: bytes

class Configuration:
    def __init__(
        self,
        *,
        auto_window_update: bool = ...,
        max_send_header_block_length: int = ...,
        max_outbound_ack: int = ...,
        max_settings: int = ...,
        stream_reset_rate_limit: tuple[int, int] = ...,
        max_continuations: int = ...,
        glitch_rate_limit: tuple[int, int] = ...,
        max_inbound_header_list_size: int = ...,
        max_inbound_header_count: int = ...,
    ) -> None: ...

class Connection:
    def __init__(self, role: Role, config: Configuration) -> None: ...
    def initiate_connection(self, settings: Mapping[int, int]) -> None: ...
    def receive_data(self, data: bytes) -> None: ...
    def events(self) -> list[Event]: ...
    def data_to_send(self) -> bytes: ...
    def send_response(
        self, stream_id: int, headers: Iterable[tuple[bytes, bytes]], *, end_stream: bool = ...
    ) -> None: ...
    def send_informational_response(
        self, stream_id: int, headers: Iterable[tuple[bytes, bytes]]
    ) -> None: ...
    def send_trailers(self, stream_id: int, headers: Iterable[tuple[bytes, bytes]]) -> None: ...
    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool = ...) -> None: ...
    def reset_stream(self, stream_id: int, error_code: int) -> None: ...
    def ping(self, opaque_data: bytes) -> None: ...
    def acknowledge_received_data(self, amount: int, stream_id: int) -> None: ...
    def set_local_window_size(self, window_size: int) -> None: ...
    def queued_body_size(self, stream_id: int | None = None) -> int: ...
    def stream_remote_window_size(self, stream_id: int) -> int: ...
    @property
    def remote_window_size(self) -> int: ...
    @property
    def want_write(self) -> bool: ...

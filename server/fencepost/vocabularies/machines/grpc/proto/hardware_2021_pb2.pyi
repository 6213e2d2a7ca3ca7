from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PushRequest(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: Hardware
    def __init__(self, data: _Optional[_Union[Hardware, _Mapping]] = ...) -> None: ...

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("mac", "ip", "id")
    MAC_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    mac: str
    ip: str
    id: str
    def __init__(self, mac: _Optional[str] = ..., ip: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Hardware(_message.Message):
    __slots__ = ("network", "id", "version", "metadata")
    class DHCP(_message.Message):
        __slots__ = ("mac", "hostname", "lease_time", "name_servers", "time_servers", "arch", "uefi", "iface_name", "ip")
        class IP(_message.Message):
            __slots__ = ("address", "netmask", "gateway", "family")
            ADDRESS_FIELD_NUMBER: _ClassVar[int]
            NETMASK_FIELD_NUMBER: _ClassVar[int]
            GATEWAY_FIELD_NUMBER: _ClassVar[int]
            FAMILY_FIELD_NUMBER: _ClassVar[int]
            address: str
            netmask: str
            gateway: str
            family: int
            def __init__(self, address: _Optional[str] = ..., netmask: _Optional[str] = ..., gateway: _Optional[str] = ..., family: _Optional[int] = ...) -> None: ...
        MAC_FIELD_NUMBER: _ClassVar[int]
        HOSTNAME_FIELD_NUMBER: _ClassVar[int]
        LEASE_TIME_FIELD_NUMBER: _ClassVar[int]
        NAME_SERVERS_FIELD_NUMBER: _ClassVar[int]
        TIME_SERVERS_FIELD_NUMBER: _ClassVar[int]
        ARCH_FIELD_NUMBER: _ClassVar[int]
        UEFI_FIELD_NUMBER: _ClassVar[int]
        IFACE_NAME_FIELD_NUMBER: _ClassVar[int]
        IP_FIELD_NUMBER: _ClassVar[int]
        mac: str
        hostname: str
        lease_time: int
        name_servers: _containers.RepeatedScalarFieldContainer[str]
        time_servers: _containers.RepeatedScalarFieldContainer[str]
        arch: str
        uefi: bool
        iface_name: str
        ip: Hardware.DHCP.IP
        def __init__(self, mac: _Optional[str] = ..., hostname: _Optional[str] = ..., lease_time: _Optional[int] = ..., name_servers: _Optional[_Iterable[str]] = ..., time_servers: _Optional[_Iterable[str]] = ..., arch: _Optional[str] = ..., uefi: _Optional[bool] = ..., iface_name: _Optional[str] = ..., ip: _Optional[_Union[Hardware.DHCP.IP, _Mapping]] = ...) -> None: ...
    class Netboot(_message.Message):
        __slots__ = ("allow_pxe", "allow_workflow", "ipxe", "osie")
        class IPXE(_message.Message):
            __slots__ = ("url", "contents")
            URL_FIELD_NUMBER: _ClassVar[int]
            CONTENTS_FIELD_NUMBER: _ClassVar[int]
            url: str
            contents: str
            def __init__(self, url: _Optional[str] = ..., contents: _Optional[str] = ...) -> None: ...
        class Osie(_message.Message):
            __slots__ = ("base_url", "kernel", "initrd")
            BASE_URL_FIELD_NUMBER: _ClassVar[int]
            KERNEL_FIELD_NUMBER: _ClassVar[int]
            INITRD_FIELD_NUMBER: _ClassVar[int]
            base_url: str
            kernel: str
            initrd: str
            def __init__(self, base_url: _Optional[str] = ..., kernel: _Optional[str] = ..., initrd: _Optional[str] = ...) -> None: ...
        ALLOW_PXE_FIELD_NUMBER: _ClassVar[int]
        ALLOW_WORKFLOW_FIELD_NUMBER: _ClassVar[int]
        IPXE_FIELD_NUMBER: _ClassVar[int]
        OSIE_FIELD_NUMBER: _ClassVar[int]
        allow_pxe: bool
        allow_workflow: bool
        ipxe: Hardware.Netboot.IPXE
        osie: Hardware.Netboot.Osie
        def __init__(self, allow_pxe: _Optional[bool] = ..., allow_workflow: _Optional[bool] = ..., ipxe: _Optional[_Union[Hardware.Netboot.IPXE, _Mapping]] = ..., osie: _Optional[_Union[Hardware.Netboot.Osie, _Mapping]] = ...) -> None: ...
    class Network(_message.Message):
        __slots__ = ("interfaces",)
        class Interface(_message.Message):
            __slots__ = ("dhcp", "netboot")
            DHCP_FIELD_NUMBER: _ClassVar[int]
            NETBOOT_FIELD_NUMBER: _ClassVar[int]
            dhcp: Hardware.DHCP
            netboot: Hardware.Netboot
            def __init__(self, dhcp: _Optional[_Union[Hardware.DHCP, _Mapping]] = ..., netboot: _Optional[_Union[Hardware.Netboot, _Mapping]] = ...) -> None: ...
        INTERFACES_FIELD_NUMBER: _ClassVar[int]
        interfaces: _containers.RepeatedCompositeFieldContainer[Hardware.Network.Interface]
        def __init__(self, interfaces: _Optional[_Iterable[_Union[Hardware.Network.Interface, _Mapping]]] = ...) -> None: ...
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    network: Hardware.Network
    id: str
    version: int
    metadata: str
    def __init__(self, network: _Optional[_Union[Hardware.Network, _Mapping]] = ..., id: _Optional[str] = ..., version: _Optional[int] = ..., metadata: _Optional[str] = ...) -> None: ...

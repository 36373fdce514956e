"""The names of the package for type checkers; they are imported where they are first used (`__init__.py`)."""

from gateway.app import (
    Gateway as Gateway,
)
from gateway.app import (
    call as call,
)
from gateway.app import (
    create_app as create_app,
)
from gateway.calls.errors import (
    Busy as Busy,
)
from gateway.calls.errors import (
    CallError as CallError,
)
from gateway.calls.errors import (
    CallFailed as CallFailed,
)
from gateway.calls.errors import (
    Exited as Exited,
)
from gateway.calls.errors import (
    GatewayFailed as GatewayFailed,
)
from gateway.calls.errors import (
    InvalidArguments as InvalidArguments,
)
from gateway.calls.errors import (
    Late as Late,
)
from gateway.calls.errors import (
    NotFound as NotFound,
)
from gateway.calls.errors import (
    ResultTooLarge as ResultTooLarge,
)
from gateway.calls.errors import (
    Stopped as Stopped,
)
from gateway.calls.errors import (
    Trapped as Trapped,
)
from gateway.config import (
    ComponentConfig as ComponentConfig,
)
from gateway.config import (
    ConfigError as ConfigError,
)
from gateway.config import (
    GatewayConfig as GatewayConfig,
)
from gateway.config import (
    ServerConfig as ServerConfig,
)
from gateway.host.errors import (
    ComponentError as ComponentError,
)
from gateway.host.errors import (
    TrapKind as TrapKind,
)
from gateway.opened.component import (
    BlockingComponent as BlockingComponent,
)
from gateway.opened.component import (
    Component as Component,
)
from gateway.opened.opening import (
    open as open,
)

__version__: str

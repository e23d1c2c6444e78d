from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, SupportsIndex

from numpy.typing import ArrayLike, NDArray

class Tape: ...

def version() -> str: ...
def isa_name() -> str: ...
def isas_available() -> list[str]: ...
def get_num_threads() -> int: ...
def set_num_threads(num_threads: SupportsIndex) -> None: ...
def activation(kind: Literal["sigmoid", "tanh", "exp"], x: ArrayLike) -> NDArray[Any]: ...
def layer_forward(
    cell: str,
    x: ArrayLike,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias: ArrayLike | None,
    bias_hn: ArrayLike | None,
    peephole: ArrayLike | None,
    layer_norm: tuple[ArrayLike | None, ...] | None,
    weight_hr: ArrayLike | None,
    cell_clip: float | None,
    activations: Sequence[tuple[str, float | None, float | None]] | None,
    h0: ArrayLike | None,
    c0: ArrayLike | None,
    lengths: ArrayLike | None,
    reverse: bool,
    training: bool,
) -> tuple[Any, ...]: ...
def layer_backward(
    family: str, tape: Tape, dy: ArrayLike | None, dh_n: ArrayLike | None, dc_n: ArrayLike | None
) -> tuple[Any, ...]: ...
def layer_step(
    cell: str,
    x_t: ArrayLike,
    h: ArrayLike | None,
    c: ArrayLike | None,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias: ArrayLike | None,
    bias_hn: ArrayLike | None,
    peephole: ArrayLike | None,
    layer_norm: tuple[ArrayLike | None, ...] | None,
    weight_hr: ArrayLike | None,
    cell_clip: float | None,
    activations: Sequence[tuple[str, float | None, float | None]] | None,
) -> tuple[Any, Any]: ...

class Network:
    def __init__(
        self,
        *,
        dtype: str,
        n_features: int,
        hidden_sizes: Sequence[int],
        n_outputs: int,
        dropout: float = 0.0,
        cell: str = "lstm",
        bidirectional: bool = False,
        merge: str = "concat",
        residual: bool = False,
        pooling: str = "last",
        proj_size: int = 0,
        vocabulary_size: int = 0,
        padding_tokens: Sequence[int] = (),
        input_dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
    ) -> None: ...
    @property
    def architecture(self) -> dict[str, Any]: ...
    @staticmethod
    def fields() -> list[str]: ...
    @staticmethod
    def shapes_of(*, dtype: str, **architecture: Any) -> dict[str, tuple[int, ...]]: ...
    @property
    def pooling(self) -> str: ...
    def initialize(self, seed: int) -> None: ...
    def get_parameters(self) -> dict[str, NDArray[Any]]: ...
    def set_parameters(self, parameters: Mapping[str, ArrayLike]) -> None: ...
    def predict(self, X: _Sequences) -> NDArray[Any]: ...

_Sequences = NDArray[Any] | list[NDArray[Any]]

def let_go(array: NDArray[Any]) -> None: ...
def open_stream(network: Network, rows: int) -> object: ...

class Trainer:
    def __init__(
        self,
        network: Network,
        *,
        solver: str,
        learning_rate: float,
        momentum: float = 0.9,
        nesterov: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        rho: float = 0.9,
        alpha: float = 0.0,
        max_grad_norm: float | None = None,
        max_grad_value: float | None = None,
        seed: int = 0,
        loss: str = "squared_error",
        delta: float = 1.0,
        quantiles: Sequence[float] = (0.5,),
        label_smoothing: float = 0.0,
        averaging: float = 0.0,
        checkpoint: bool | int = False,
        tbptt_steps: int = 0,
        mean: Sequence[float] | NDArray[Any] = (),  # features are read as (x - mean) / spread
        spread: Sequence[float] | NDArray[Any] = (),
        masks: bool = False,
    ) -> None: ...
    learning_rate: float
    alpha: float
    @property
    def network(self) -> Network: ...
    def run_epoch(
        self,
        X: _Sequences,
        y: _Sequences,
        sample_weight: _Sequences | None,
        order: NDArray[Any],
        batch_size: int,
        epoch: int,
        progress: Callable[[int], None] | None = None,
    ) -> float: ...
    def loss(
        self,
        X: _Sequences,
        y: _Sequences,
        sample_weight: _Sequences | None = None,
        rows: NDArray[Any] | None = None,
    ) -> float: ...
    def predict(self, X: _Sequences, rows: NDArray[Any] | None = None) -> NDArray[Any]: ...
    def get_state(self) -> dict[str, Any]: ...
    def set_state(self, state: Mapping[str, Any]) -> None: ...

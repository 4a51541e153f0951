"""torch.compile of a step with the gradient written out, which it does better than autograd."""

from .. import native
from ..cases import LEARNING_RATE, Case, Layers
from ..optional import optional
from .base import Backend

torch = optional("torch")


def _step(layers, target) -> None:
    prefix = [layers[0].clone()]
    for layer in layers[1:]:
        prefix.append(layer @ prefix[-1])
    delta = prefix[-1] - target
    for j in range(len(layers) - 1, 0, -1):
        gradient = delta @ prefix[j - 1].T
        delta = layers[j].T @ delta
        layers[j].sub_(gradient, alpha=LEARNING_RATE)
    layers[0].sub_(delta, alpha=LEARNING_RATE)


class TorchCompiled(Backend):
    def __init__(self, case: Case) -> None:
        native.compiler()  # torch.compile needs one too
        import torch._dynamo

        # Past this many shapes it would go back to the interpreter without a word.
        torch._dynamo.config.recompile_limit = 10_000
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        self._step = torch.compile(_step, dynamic=False)
        self._start = [torch.from_numpy(w.copy()) for w in case.start]
        self._target = torch.from_numpy(case.target.copy())
        self._layers = [w.clone() for w in self._start]

    def run(self, n_steps: int) -> None:
        with torch.no_grad():
            for layer, start in zip(self._layers, self._start, strict=True):
                layer.copy_(start)
            for _ in range(n_steps):
                self._step(self._layers, self._target)

    def layers(self) -> Layers:
        return [layer.numpy() for layer in self._layers]

"""PyTorch with the gradient written out: buffers, no graph, updates in place."""

from ..cases import LEARNING_RATE, Case, Layers
from ..optional import optional
from .base import Backend

torch = optional("torch")


class TorchByHand(Backend):
    def __init__(self, case: Case) -> None:
        self._start = [torch.from_numpy(w.copy()) for w in case.start]
        self._target = torch.from_numpy(case.target.copy())
        self._layers = [w.clone() for w in self._start]
        self._prefix = [torch.empty_like(w) for w in self._start]
        self._delta = [torch.empty_like(w) for w in self._start]

    def run(self, n_steps: int) -> None:
        with torch.inference_mode():
            for layer, start in zip(self._layers, self._start, strict=True):
                layer.copy_(start)
            for _ in range(n_steps):
                self._step()

    def _step(self) -> None:
        w, prefix, delta = self._layers, self._prefix, self._delta
        prefix[0].copy_(w[0])
        for j in range(1, len(w)):
            torch.mm(w[j], prefix[j - 1], out=prefix[j])
        torch.sub(prefix[-1], self._target, out=delta[-1])
        for j in range(len(w) - 1, 0, -1):
            torch.mm(w[j].T, delta[j], out=delta[j - 1])
            w[j].addmm_(delta[j], prefix[j - 1].T, alpha=-LEARNING_RATE)
        w[0].sub_(delta[0], alpha=LEARNING_RATE)

    def layers(self) -> Layers:
        return [layer.numpy() for layer in self._layers]

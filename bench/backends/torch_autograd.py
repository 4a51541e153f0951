"""The loop that most people write: a product of parameters, backward, SGD."""

from ..cases import LEARNING_RATE, Case, Layers
from ..optional import optional
from .base import Backend

torch = optional("torch")


class TorchAutograd(Backend):
    def __init__(self, case: Case) -> None:
        self._start = case.start
        self._target = torch.from_numpy(case.target.copy())
        self._parameters = []

    def run(self, n_steps: int) -> None:
        self._parameters = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in self._start]
        optimizer = torch.optim.SGD(self._parameters, lr=LEARNING_RATE)
        for _ in range(n_steps):
            optimizer.zero_grad()
            product = self._parameters[0]
            for layer in self._parameters[1:]:
                product = layer @ product
            loss = 0.5 * ((product - self._target) ** 2).sum()
            loss.backward()
            optimizer.step()

    def layers(self) -> Layers:
        return [parameter.detach().numpy() for parameter in self._parameters]

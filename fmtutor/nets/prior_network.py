"""A U-Net with priors at its coarsest levels, and the last layer that their posteriors write.

The network of Hermes: `fmtutor.nets.prior_fusion` at several places, the task posteriors of all
places joined into one vector per class, and from it the weights that the class's logits are
dotted with.

Source: Gao et al., "Training Like a Medical Resident", CVPR 2024, section 3.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.axes import Image, Logits, Task
from fmtutor.nets.prior_fusion import PriorFusion, TaskTokens, mlp
from fmtutor.nets.unet3d import UNet3d

Modality = Int[Tensor, " B"]
"""Row of the modality tables of each sample; the last is that of an unknown modality."""


class FusedUNet(nn.Module):
    """A U-Net whose coarsest levels exchange with priors, in the encoder and in the decoder.

    Args:
        network: The U-Net.
        blocks: Exchanges per fused level, coarsest last; its length says how many are fused. The
            deepest level is fused once, the others on the way down and on the way up.
        options: Of `PriorFusion`.

    Raises:
        ValueError: More levels are to be fused than there are, or none.
    """

    def __init__(self, network: UNet3d, blocks: Sequence[int], **options: int) -> None:
        super().__init__()
        widths = network.level_channels
        if not 1 <= len(blocks) <= len(widths):
            raise ValueError(
                f"blocks must name 1 to {len(widths)} levels, not {tuple(blocks)}; "
                "give one number per fused level, the coarsest last."
            )
        self.network, self.first = network, len(widths) - len(blocks)
        fused = list(zip(widths[self.first :], blocks, strict=True))
        order = fused + fused[-2::-1]  # down, the deepest once, up
        self.places = nn.ModuleList(PriorFusion(w, blocks=n, **options) for w, n in order)
        self.token_width = sum(width for width, _ in order)

    def shallow(self, image: Float[Tensor, "B C H W D"]) -> list[Tensor]:
        """Return the encoder's features down to the first fused level: no prior has touched them,
        so that several tasks may share them.
        """
        features = []
        for level in self.network.encoder.levels[: self.first + 1]:
            image = level(image)
            features.append(image)
        return features

    def fused(
        self, shallow: list[Tensor], tasks: TaskTokens, modality: Modality
    ) -> tuple[Float[Tensor, "B E H W D"], Float[Tensor, "B N T"], Float[Tensor, "B M T"]]:
        """Return the decoder's last features, not yet resized to the input, and the posteriors of
        the task and modality tokens, joined over the places (T features).
        """
        encoder, decoder = self.network.encoder, self.network.decoder
        places, posteriors, features = iter(self.places), [], list(shallow)

        def exchange(x: Tensor) -> Tensor:
            x, *read = next(places)(x, tasks, modality)
            posteriors.append(read)
            return x

        features[-1] = exchange(features[-1])
        for level in encoder.levels[self.first + 1 :]:
            features.append(exchange(level(features[-1])))
        x = features.pop()
        for up, level in zip(decoder.ups, decoder.levels, strict=True):
            skipped = features.pop()
            x = up(x)
            x = level(torch.cat((skipped, x), 1) if decoder.skip == "concat" else x + skipped)
            x = exchange(x) if len(features) >= self.first else x
        of_tasks, of_modality = zip(*posteriors, strict=True)
        return x, torch.cat(of_tasks, dim=2), torch.cat(of_modality, dim=2)


class ClassBias(nn.Module):
    """A bias per task token: where a class's probability starts.

    It stands apart from the layers that write the weights, because recipes give what can `expect`
    a learning rate that those would not survive.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(classes + 1))

    def expect(self, prior: float) -> None:
        """Set every bias so that training starts near this probability.

        Raises:
            ValueError: ``prior`` is outside (0, 1).
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior must lie in (0, 1), not {prior}; give a share of voxels.")
        nn.init.constant_(self.bias, math.log(prior / (1 - prior)))

    def forward(self, tasks: TaskTokens) -> Float[Tensor, "B N"]:
        """Return the bias of each token."""
        return self.bias[tasks]


class PosteriorClassifier(nn.Module):
    """The last layer, written by the posteriors: a vector per class, dotted with the features.

    Args:
        token_width: Features of a posterior, all places joined.
        features: Features per voxel.
        classes: Rows of the task tables, the null token not counted.
    """

    def __init__(self, token_width: int, features: int, classes: int) -> None:
        super().__init__()
        self.vector = nn.Sequential(
            nn.LayerNorm(token_width),
            *mlp(token_width, token_width, features),
            *mlp(features, features, features),
        )
        for part in self.vector.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)
        self.vector.rate = 0.05  # type: ignore[assignment]  # as for `PriorBlock`
        self.bias = ClassBias(classes)

    def forward(
        self,
        features: Float[Tensor, "B E H W D"],
        posteriors: Float[Tensor, "B N T"],
        tasks: TaskTokens,
    ) -> Logits:
        """Return a map of logits per token, in the order of ``tasks``."""
        logits = self.vector(posteriors) @ features.flatten(2)  # (B, N, V)
        logits = logits + self.bias(tasks)[..., None].to(logits.dtype)
        return logits.unflatten(2, features.shape[2:])


class ModalityClassifier(nn.Module):
    """Which modality it is, told from the posteriors of the modality's tokens."""

    def __init__(self, token_width: int, modalities: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(token_width)
        self.mlp = mlp(token_width, token_width, modalities)

    def forward(self, posteriors: Float[Tensor, "B M T"]) -> Float[Tensor, "B O"]:
        """Return a logit per modality."""
        return self.mlp(self.norm(posteriors).mean(1))


class PriorNetwork(nn.Module):
    """The whole network: each sample brings the tokens of its task and of its modality.

    Args:
        network: The U-Net.
        tasks: Classes of each task; their tokens are numbered task after task.
        modality_of_task: Row of the modality tables of each task.
        modalities: Modalities that can be told apart; row ``modalities`` is the unknown one.
        blocks: See `FusedUNet`.
        modality_tokens: Tokens per modality.
        head_width: Features per attention head.
    """

    def __init__(
        self,
        network: UNet3d,
        tasks: Sequence[int],
        *,
        modality_of_task: Sequence[int],
        modalities: int,
        blocks: Sequence[int],
        modality_tokens: int,
        head_width: int,
    ) -> None:
        super().__init__()
        self.classes, self.modality_of_task = sum(tasks), tuple(modality_of_task)
        ends = torch.tensor(tasks).cumsum(0).tolist()
        self.tokens_of_task = [
            list(range(end - n, end)) for n, end in zip(tasks, ends, strict=True)
        ]
        self.unet = FusedUNet(
            network, blocks, classes=self.classes, modalities=modalities,
            modality_tokens=modality_tokens, head_width=head_width,
        )  # fmt: skip
        width = self.unet.token_width
        self.classifier = PosteriorClassifier(width, network.out_channels, self.classes)
        self.modality_classifier = ModalityClassifier(width, modalities)

    def forward(self, image: Image, task: Task) -> Float[Tensor, "B O H W D"]:
        """Return a logit map per class (0 where it is not of the sample's task), then one per
        modality, the same in every voxel.

        A batch may mix tasks: shorter lists of tokens are filled up with null tokens, which have
        no influence.
        """
        rows = [self.tokens_of_task[number] for number in task.tolist()]
        longest = max(map(len, rows))
        filled = [[*row, *[self.classes] * (longest - len(row))] for row in rows]
        tokens = torch.tensor(filled, device=image.device)
        modality = [self.modality_of_task[number] for number in task.tolist()]
        logits, of_modality, _ = self.answer(
            self.unet.shallow(image), tokens, torch.tensor(modality, device=image.device), image
        )
        channels = self.classes + of_modality.shape[1]
        out = logits.new_zeros(len(image), channels, *image.shape[2:])
        sample, place = (tokens != self.classes).nonzero(as_tuple=True)
        out[sample, tokens[sample, place]] = logits[sample, place]
        out[:, self.classes :] = of_modality[:, :, None, None, None].to(out.dtype)
        return out

    def answer(
        self, shallow: list[Tensor], tokens: TaskTokens, modality: Modality, image: Image
    ) -> tuple[Logits, Float[Tensor, "B M"], Float[Tensor, "B N T"]]:
        """Return the logits of each token, those of the modalities, and the task posteriors.

        Args:
            shallow: Features of `FusedUNet.shallow`.
            tokens: Rows of the task tables.
            modality: Rows of the modality tables.
            image: Whose grid the logits are on.
        """
        features, of_tasks, of_modality = self.unet.fused(shallow, tokens, modality)
        logits = self.classifier(features, of_tasks, tokens)
        if logits.shape[2:] != image.shape[2:]:  # resizing and the dot are linear: any order
            logits = functional.interpolate(logits, size=image.shape[2:], mode="trilinear")
        return logits, self.modality_classifier(of_modality), of_tasks

    def ask(
        self, image: Image, tasks: Sequence[int], modality: int | None = None
    ) -> tuple[Logits, Float[Tensor, "B N T"]]:
        """Ask whole tasks, one after the other as in training, over one shallow encoding.

        Args:
            image: Normalised images.
            tasks: Task numbers.
            modality: Row of the modality tables for all; None gives each task its own.

        Returns:
            Logits and posteriors of the tasks' classes, in the order of the tasks.
        """
        shallow, found = self.unet.shallow(image), []
        for task in tasks:
            own = torch.tensor(self.tokens_of_task[task], device=image.device)
            row = self.modality_of_task[task] if modality is None else modality
            rows = torch.full((len(image),), row, device=image.device)
            found.append(self.answer(shallow, own.expand(len(image), -1), rows, image))
        return torch.cat([a[0] for a in found], dim=1), torch.cat([a[2] for a in found], dim=1)

    def take(self, smaller: "PriorNetwork") -> None:
        """Take all weights of a network that has the first of this one's classes."""
        state = self.state_dict()
        for key, value in smaller.state_dict().items():
            if (
                key.endswith("task_table") or key == "classifier.bias.bias"
            ):  # the null row stays last
                state[key][: len(value) - 1], state[key][-1] = value[:-1], value[-1]
            else:
                state[key].copy_(value)
        self.load_state_dict(state)


class AskedTasks(nn.Module):
    """The network with the tasks to be asked, see `PriorNetwork.ask`: from image to logits."""

    def __init__(self, model: PriorNetwork, tasks: Sequence[int], modality: int | None) -> None:
        super().__init__()
        self.model, self.tasks, self.modality = model, tasks, modality

    def forward(self, image: Image) -> Logits:
        """Return the logits of the tasks' classes, in their order."""
        return self.model.ask(image, self.tasks, self.modality)[0]


def task_priors(model: PriorNetwork) -> Float[Tensor, "L T"]:
    """Return the learned token of each class, joined over the places."""
    return torch.cat([place.task_table[:-1] for place in model.unet.places], dim=1).detach()


@torch.no_grad()
def task_posteriors(model: PriorNetwork, image: Image) -> Float[Tensor, "L T"]:
    """Return what the tokens become after reading an image, a mean over the batch."""
    return model.ask(image, range(len(model.tokens_of_task)))[1].mean(0)

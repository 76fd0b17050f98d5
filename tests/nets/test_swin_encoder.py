"""The transformer of Swin UNETR alone: the names and the features of the whole network."""

import pytest
import torch

from fmtutor.nets.swin_encoder import SwinEncoder
from fmtutor.nets.swin_unetr import SwinUnetr

IMAGE = torch.randn(1, 1, 32, 64, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("merging", ["legacy", "mergingv2"])
def test_its_tensors_and_its_deepest_features_are_those_of_the_whole_network(merging: str) -> None:
    whole = SwinUnetr(feature_size=12, window=4, merging=merging).eval()
    encoder = SwinEncoder(12, window=4, merging=merging).eval()
    of_whole = {k: v for k, v in whole.state_dict().items() if k.startswith("swinViT.")}
    encoder.load_state_dict(of_whole, strict=True)
    with torch.no_grad():
        deepest = encoder(IMAGE)
        assert torch.equal(deepest, whole.swinViT(IMAGE, True)[4])
    assert deepest.shape == (1, encoder.out_channels, 1, 2, 1)


def test_sides_that_are_no_multiples_of_the_stride_are_refused_with_the_fix() -> None:
    with pytest.raises(ValueError, match=r"multiples of 32, not \(16, 64, 32\); pad"):
        SwinEncoder(12, window=4)(IMAGE[:, :, :16])

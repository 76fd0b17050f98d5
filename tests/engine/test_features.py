from itertools import islice

import pytest
import torch
from torch import nn

from fmtutor.engine.features import FeatureCache, hash_of_crops, hash_of_weights

COUNT = 4


def _crops(i):
    return torch.randn(1, 8, 6, 4, generator=torch.Generator().manual_seed(i))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.BatchNorm3d(3))
        self.calls = 0
        self.requires_grad_(False)

    def forward(self, image):
        self.calls += 1
        return self.layers(image)


def _cache(folder, model=None, **kwargs):
    model = model or Encoder()
    options = {"count": COUNT, "precision": "fp32", "device": "cpu"} | kwargs
    return FeatureCache(model, model, _crops, folder, **options)


def test_cached_features_equal_those_of_the_encoder_up_to_fp16(tmp_path):
    cache = _cache(tmp_path)
    assert list(cache.build()) == list(range(COUNT))
    calls = cache.model.calls
    for i, features in enumerate(cache):
        direct = cache.model.layers(_crops(i)[None])[0]
        assert torch.equal(features, direct.half().float())
        torch.testing.assert_close(features, direct, rtol=1e-3, atol=1e-4)
    assert cache.model.calls == calls, "the encoder ran again"


def test_a_cache_cut_short_goes_on_where_it_stopped(tmp_path):
    list(islice(_cache(tmp_path).build(), 2))
    again = _cache(tmp_path)
    assert again.missing == [2, 3]
    list(again.build())
    assert again.model.calls == 2


def test_another_encoder_or_other_crops_are_another_cache(tmp_path):
    model = Encoder()
    before = _cache(tmp_path, model).folder
    assert _cache(tmp_path, Encoder()).folder == before
    model.layers[1].running_mean += 1e-6
    assert _cache(tmp_path, model).folder != before
    assert _cache(tmp_path, count=COUNT - 1).folder != before
    assert _cache(tmp_path, precision="bf16").folder != before
    assert hash_of_weights(model) != hash_of_weights(Encoder())
    assert hash_of_crops(_crops, 2) != hash_of_crops(lambda i: _crops(1 - i), 2)


def test_a_cache_larger_than_its_limit_is_refused_and_leaves_nothing(tmp_path):
    cache = _cache(tmp_path, limit_mb=0.003)
    with pytest.raises(ValueError, match="may take"):
        list(cache.build())
    assert cache.size_mb == 0
    fits = _cache(tmp_path, limit_mb=0.01)
    list(fits.build())
    assert 0 < fits.size_mb < 0.01


def test_a_trainable_encoder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        _cache(tmp_path, Encoder().requires_grad_(True))


def test_a_crop_that_does_not_exist_is_an_index_error(tmp_path):
    with pytest.raises(IndexError, match="0 to 3"):
        _cache(tmp_path)[COUNT]


def test_features_beyond_fp16_are_refused_and_not_stored(tmp_path):
    model = Encoder()
    model.layers[1].weight.data.fill_(1e6)
    cache = _cache(tmp_path, model)
    with pytest.raises(ValueError, match="fp16"):
        cache[0]
    assert cache.missing == list(range(COUNT))

"""Linear probe: a fresh 1x1x1 convolution on frozen features, and nothing else.

The plainest black-box method, and a strong one where the features already separate the structure:
49 numbers on a Swin UNETR of 48 features. It cannot make features that are not there.
"""

from fmtutor.core.card import Card
from fmtutor.paradigms.adapt.method import HEAD_LR, Method

METHOD = Method(
    name="linear_probe",
    title="Linear Probe",
    family="black-box",
    lr=HEAD_LR,
    stacks_on_decoder=False,
    card=Card(
        name="Linear probe",
        title="Understanding intermediate layers using linear classifier probes",
        year=2016,
        paper="https://arxiv.org/abs/1610.01644",
        code="none",
        licence_code="none published",
        licence_weights="none published",
        deviations=("none: one 1x1x1 convolution, torch's own initialisation",),
        notebook="12",
    ),
)

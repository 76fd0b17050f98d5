"""The axis legend of the whole package, and the tensor types spelled with it.

========  ==================================================================
letter    axis
========  ==================================================================
B         batch
C         channels of an image or a feature map
H W D     voxel axes as NIfTI stores them after reorientation to RAS:
          H = left to right, W = back to front, D = foot to head
          (index 0 is the patient's left, back and feet)
L         classes (regions) of a vocabulary
S         support cases
M         candidate masks
P         clicks
N         tokens
E         features
========  ==================================================================

Volumes are never stored in torch's D H W order. A 2D slice is ``H W``.
World coordinates are RAS+ in millimetres: x grows towards the patient's right, y towards the
front (anterior), z towards the head (superior).
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Image = Float[Tensor, "B C H W D"]
Logits = Float[Tensor, "B L H W D"]
Target = Bool[Tensor, "B L H W D"]
Known = Bool[Tensor, "B L"]
Task = Int[Tensor, " B"]

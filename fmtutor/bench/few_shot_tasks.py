"""What a few-shot cell is asked for: one structure, or all organs of FLARE22 at once.

The published runs on TotalSegmentator ask for one structure at a time, with one sigmoid; those on
FLARE22 for nine organs and the background, with one softmax. On virtual patients the same form asks
for the organs that they show.

Source: Silva-Rodríguez et al., Medical Image Analysis 2025; ``jusiro/fewshot-finetuning``.
"""

FLARE22 = "flare22"
"""Name of the multi-class task, where other cells name their structure."""
KNOWN_QUICK = ("spleen", "liver", "stomach", "aorta")
"""Published organs that the virtual patients and the real series both have, 10 ml or more."""
KNOWN_PAPER = (
    "spleen", "kidney_left", "gallbladder", "esophagus", "liver", "pancreas", "stomach",
    "duodenum", "aorta",
)  # fmt: skip


def classes_of(task: str, data: str) -> tuple[str, ...]:
    """Return the structures that a task asks for, in the order of their labels from 1 on.

    Args:
        task: A structure, or `FLARE22`.
        data: ``data`` of the cell's `fmtutor.bench.few_shot_grid.Setting`.
    """
    if task != FLARE22:
        return (task,)
    return KNOWN_QUICK if data == "virtual" else KNOWN_PAPER


def outputs_of(classes: tuple[str, ...]) -> int:
    """Return L, the logits of a head: one for one structure, else the background's too."""
    return 1 if len(classes) == 1 else 1 + len(classes)

"""`fmtutor predict`: segment a NIfTI file or a DICOM series with a shipped model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fmtutor.cli.display import Display

if TYPE_CHECKING:
    from fmtutor.core.ask import Ask, Part
    from fmtutor.data.cases import Case
    from fmtutor.engine.prediction import Prediction

NIFTI = (".nii", ".nii.gz")
DICOM = (".dcm",)


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Segment IMAGE and write a label map on its own grid; score it where a reference is given."""

    image: tyro.conf.Positional[Path]
    """A NIfTI file, or a folder with one DICOM series."""
    out: tyro.conf.Positional[Path]
    """Label map to write: .nii or .nii.gz, or .dcm for DICOM-SEG (from a DICOM series)."""
    labels: Path | None = None
    """Reference label map (NIfTI): prints and saves a score table and a picture beside OUT."""
    table: str | None = None
    """What its ids mean: totalsegmentator_v2 or _v1 or _mr, or a JSON file {"1": "liver"}.
    Left out: the JSON of the same name beside it, else totalsegmentator_v2."""
    weights: str = "default"
    """Name of the shipped model."""
    ask: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CLASS")] = ()
    """Classes wanted; none named means all that the model knows."""
    examples: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="IMAGE")] = ()
    """Examples (NIfTI or PNG, slices or volumes), for --weights universeg or tyche."""
    masks: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="MASK")] = ()
    """Their binary masks, in the same order; --ask may name the structure."""
    click: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A voxel H,W,D inside of the structure, or --click=-H,W,D outside of it; give one after the
    other, for --weights sam_med3d and its kin. Voxels count from 0 in RAS order."""
    box: str | None = None
    """A box H,W,D,H,W,D around it: its first and its last voxel."""
    modality: Literal["CT", "MR"] = "CT"
    """Of a NIfTI image; a DICOM series says it itself."""

    def run(self) -> int:
        """Read, predict, write; then score."""
        self.check()
        with Display() as display:
            display.step(f"reading {self.image.name}")
            case = read_case(self.image, modality=self.modality)
            if self.labels is not None:
                from fmtutor.bench.predictions import with_reference

                case = with_reference(case, self.labels, self.table)
            prediction = self.answer(case, display)
            display.step(f"writing {self.out.name}")
            self.write(prediction)
        print(f"wrote {self.out}")
        if self.labels is not None:
            from fmtutor.bench.predictions import report_prediction

            print(report_prediction(prediction, case, self.out))
        return 0

    def answer(self, case: "Case", display: Display) -> "Prediction":
        """Load the model, and have it answer what was asked."""
        display.step(f"loading {self.weights}")
        from fmtutor.hub.models import load_shipped

        model, module, card = load_shipped(self.weights)
        asked = self.asked(card)  # refuses a model that has nothing to answer with
        size = " x ".join(map(str, case.image.shape))
        display.step(f"segmenting {size} voxels with {self.weights}")
        return module.predict(model, case, asked)

    def write(self, prediction: "Prediction") -> None:
        """Write the answer as NIfTI, or as DICOM-SEG of the series."""
        if self.out.name.lower().endswith(DICOM):
            from fmtutor.data.dicom_seg import write_dicom_seg

            labels, names = prediction.label_map()
            write_dicom_seg(labels, self.image, path=self.out, table=names)
        else:
            prediction.save(self.out)

    def asked(self, card: dict[str, Any]) -> "Ask | Part":
        """Return clicks and box, the examples as a support, or the classes asked for."""
        from fmtutor.core.ask import Classes

        if self.click or self.box is not None:
            from fmtutor.cli.prompts import prompts_of

            return prompts_of(self.click, self.box)
        if self.examples:
            from fmtutor.data.support_files import read_support

            name = self.ask[0] if self.ask else "structure"
            return read_support(self.examples, self.masks, name=name, modality=self.modality)
        from fmtutor.hub.models import bare_names, classes_of

        # A bare name that several datasets have is answered by their vote.
        return Classes(self.ask or bare_names(classes_of(card)))

    def check(self) -> None:
        """Raise ValueError before anything slow, where the request cannot end well."""
        if not self.out.name.lower().endswith(NIFTI + DICOM):
            raise ValueError(f"OUT must end in .nii, .nii.gz or .dcm, got {self.out.name!r}.")
        if self.out.name.lower().endswith(DICOM) and not self.image.is_dir():
            raise ValueError(
                f"DICOM-SEG refers to a DICOM series, got {self.image}; write .nii.gz."
            )
        if len(self.examples) != len(self.masks) or (self.examples and len(self.ask) > 1):
            raise ValueError(
                f"examples need a mask each and at most one name, got {len(self.examples)} "
                f"examples, {len(self.masks)} masks and names {list(self.ask)}."
            )
        if (self.click or self.box is not None) and (self.examples or self.ask):
            raise ValueError(
                "clicks and a box ask for what they mark, got them with --ask or --examples; "
                "leave those out, or the clicks."
            )
        for path in filter(None, (self.image, self.labels, *self.examples, *self.masks)):
            if not path.exists():
                raise FileNotFoundError(2, "No such file or directory", str(path))


def read_case(path: Path, *, modality: str) -> "Case":
    """Read a NIfTI file, or a folder as a DICOM series."""
    if path.is_dir():
        from fmtutor.data.dicom import read_dicom

        return read_dicom(path)
    from fmtutor.data.nifti import read_nifti

    return read_nifti(path, modality=modality)

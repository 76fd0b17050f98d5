"""The layout of each public dataset, as its makers publish it, filled with look-alikes."""

from collections.abc import Callable
from functools import partial

import numpy as np

from fmtutor.data.sources import Source, source
from tests.data_scripts.look_alikes import (
    META,
    LookAlike,
    dicom_series,
    image_of,
    label_map,
    nifti,
    packed_tar,
    packed_zip,
    pictures,
    truth,
)


def pairs(
    of: Source, images: list[str], labels: list[str], *, packed: bool = True
) -> dict[str, bytes]:
    """Return images and label maps by path."""
    drawn = nifti(label_map(of), packed=packed)
    found = {path: nifti(image_of(i), packed=packed) for i, path in enumerate(images)}
    return found | dict.fromkeys(labels, drawn)


def btcv(of: Source) -> LookAlike:
    numbers = ["0001", "0040"]
    files = pairs(
        of,
        [f"RawData/Training/img/img{n}.nii.gz" for n in numbers],
        [f"RawData/Training/label/label{n}.nii.gz" for n in numbers],
    )
    files["RawData/Testing/img/img0061.nii.gz"] = nifti(image_of(9))
    return LookAlike(("BTCV_0001", "BTCV_0040"), downloads={"RawData.zip": packed_zip(files)})


def flare22(of: Source) -> LookAlike:
    names = ["FLARE22_Tr_0001", "FLARE22_Tr_0002"]
    files = pairs(
        of,
        [f"FLARE22Train/images/{n}_0000.nii.gz" for n in names],
        [f"FLARE22Train/labels/{n}.nii.gz" for n in names],
    )
    tuning = pairs(
        of, ["tuning/images/FLARETs_0001_0000.nii.gz"], ["tuning/labels/FLARETs_0001.nii.gz"]
    )
    return LookAlike(
        (*names, "FLARETs_0001"),
        served={"FLARE22Train.zip": packed_zip(files)},
        unpacked=tuning,
        parts={"FLARETs_0001": "val"},
    )


def msd(of: Source, task: str, stem: str) -> LookAlike:
    names = [f"{stem}_1", f"{stem}_20"]
    files = pairs(
        of,
        [f"{task}/imagesTr/{n}.nii.gz" for n in names],
        [f"{task}/labelsTr/{n}.nii.gz" for n in names],
    )
    files[f"{task}/imagesTs/{stem}_3.nii.gz"] = nifti(image_of(9))
    return LookAlike(tuple(names), served={f"{task}.tar": packed_tar(files)})


def amos22(of: Source) -> LookAlike:
    images = ["Tr/amos_0001", "Tr/amos_0507", "Va/amos_0008", "Ts/amos_0003"]
    labelled = images[:3]
    files = pairs(
        of,
        [f"amos22/images{n}.nii.gz" for n in images],
        [f"amos22/labels{n}.nii.gz" for n in labelled],
    )
    return LookAlike(
        ("amos_0001", "amos_0008"),
        served={"amos22.zip": packed_zip(files)},
        parts={"amos_0008": "val"},
    )


def kits(of: Source) -> LookAlike:
    cases = ["case_00000", "case_00001"]
    files = pairs(
        of,
        [f"{case}/imaging.nii.gz" for case in cases],
        [f"{case}/aggregated_MAJ_seg.nii.gz" for case in cases],
    )
    return LookAlike(tuple(cases), served=files)


def lits(of: Source) -> LookAlike:
    batches: dict[str, bytes] = {}
    for batch, numbers in ((1, (0, 27)), (2, (28, 130))):
        files = pairs(
            of,
            [f"Training Batch {batch}/volume-{n}.nii" for n in numbers],
            [f"Training Batch {batch}/segmentation-{n}.nii" for n in numbers],
            packed=False,
        )
        batches[f"Training_Batch{batch}.zip"] = packed_zip(files)
    return LookAlike(("volume-0", "volume-130", "volume-27"), downloads=batches)


def abdomenct_1k(of: Source) -> LookAlike:
    parts = {
        f"AbdomenCT-1K-ImagePart{part}.zip": packed_zip(
            pairs(of, [f"AbdomenCT-1K-ImagePart{part}/Case_0000{part}_0000.nii.gz"], [])
        )
        for part in (1, 2, 3)
    }
    masks = pairs(of, [], ["Mask/Case_00001.nii.gz", "Mask/Case_00002.nii.gz"])
    return LookAlike(
        ("Case_00001", "Case_00002"), served={**parts, "Mask.7z": b"7z"}, unpacked=masks
    )


def abdomenct_12organ(of: Source) -> LookAlike:
    files = pairs(of, ["images/Organ12_0001_0000.nii.gz"], ["labels/Organ12_0001.nii.gz"])
    return LookAlike(("Organ12_0001",), unpacked=files)


def word(of: Source) -> LookAlike:
    stems = ["Tr/word_0002", "Val/word_0001"]
    files = pairs(
        of,
        [f"WORD-V0.1.0/images{n}.nii.gz" for n in [*stems, "Ts/word_0014"]],
        [f"WORD-V0.1.0/labels{n}.nii.gz" for n in stems],
    )
    return LookAlike(("word_0001", "word_0002"), unpacked=files, parts={"word_0001": "val"})


def ct_org(of: Source) -> LookAlike:
    images = pairs(of, [f"volume-{n}.nii.gz" for n in (0, 21)], [])
    labels = pairs(of, [], [f"labels-{n}.nii.gz" for n in (0, 21)])
    downloads = {
        "volumes 0-49.zip": packed_zip(images),
        "labels and README.zip": packed_zip(labels),
    }
    return LookAlike(("CTORG_000", "CTORG_021"), downloads=downloads, parts={"CTORG_000": "test"})


def chaos(of: Source, kind: str) -> LookAlike:
    ct, mr = source("chaos_ct"), source("chaos_mr")
    files: dict[str, bytes] = {}
    for patient in (1, 22):
        root = f"Train_Sets/CT/{patient}"
        files |= dicom_series(
            image_of(patient), lambda n, root=root: f"{root}/DICOM_anon/i{n:04d},0000b.dcm"
        )
        files |= pictures(label_map(ct), lambda n, root=root: f"{root}/Ground/liver_GT_{n:03d}.png")
    for sequence, phases in (("T1DUAL", ["/InPhase", "/OutPhase"]), ("T2SPIR", [""])):
        root = f"Train_Sets/MR/3/{sequence}"
        for shift, phase in enumerate(phases):
            files |= dicom_series(
                image_of(shift),
                lambda n, root=root, phase=phase: f"{root}/DICOM_anon{phase}/IMG-0004-{n:05d}.dcm",
                modality="MR",
            )
        files |= pictures(label_map(mr), lambda n, root=root: f"{root}/Ground/IMG-0004-{n:05d}.png")
    names = {
        "CT": ("CHAOS_CT_01", "CHAOS_CT_22"),
        "MR": ("CHAOS_MR_03_T1DUAL", "CHAOS_MR_03_T2SPIR"),
    }
    return LookAlike(names[kind], served={"CHAOS_Train_Sets.zip": packed_zip(files)})


IRCADB_FOLDERS = {
    "lung_right": "rightlung", "lung_left": "leftlung", "liver": "liver", "spleen": "spleen",
    "kidney_right": "rightkidney", "kidney_left": "leftkidney", "gallbladder": "gallbladder",
    "aorta": "artery", "venous_system": "venoussystem", "inferior_vena_cava": "venacava",
    "portal_vein": "portalvein1", "liver_cyst": "liverkyste", "lungs": "lungs",
}  # fmt: skip
IRCADB_DRAWN = {
    "IRCADb_01": ("lung_right", "liver", "aorta", "inferior_vena_cava", "portal_vein",
                  "liver_cyst"),
    "IRCADb_02": ("liver", "spleen"),
    "IRCADb_10": ("liver", "spleen"),
    "IRCADb_20": ("spleen", "lungs"),
}  # fmt: skip


def ircadb(of: Source) -> LookAlike:
    outer: dict[str, bytes] = {}
    for number, (name, drawn) in enumerate(IRCADB_DRAWN.items()):
        root = f"3Dircadb1/3Dircadb1.{int(name[-2:])}"
        series = dicom_series(image_of(number), lambda n: f"PATIENT_DICOM/image_{n}")
        masks: dict[str, bytes] = {}
        for structure in drawn:
            folder = IRCADB_FOLDERS[structure]
            masks |= dicom_series(
                sum(truth(of, part) for part in of.split([structure])) * 255,
                lambda n, folder=folder: f"MASKS_DICOM/{folder}/image_{n}",
            )
        masks |= dicom_series(image_of(0) * 0, lambda n: f"MASKS_DICOM/livertumor01/image_{n}")
        outer[f"{root}/PATIENT_DICOM.zip"] = packed_zip(series)
        outer[f"{root}/MASKS_DICOM.zip"] = packed_zip(masks)
    return LookAlike(tuple(IRCADB_DRAWN), served={"3Dircadb1.zip": packed_zip(outer)})


def pancreas_ct(of: Source) -> LookAlike:
    path = "Pancreas-CT/PANCREAS_0001/11-24-2015-PANCREAS0001/Pancreas-{n}/1-{n:03d}.dcm"
    files = dicom_series(image_of(0), lambda n: path.replace("{n}", "1", 1).format(n=n))
    affine = np.diag([-1.5, -2.0, 3.0, 1.0])  # the series begins at the world's origin
    files["labels/label0001.nii.gz"] = nifti(label_map(of), affine=affine)
    return LookAlike(("PANCREAS_0001",), unpacked=files)


def acdc(of: Source) -> LookAlike:
    stems = ["training/patient001/patient001_frame01", "training/patient001/patient001_frame12",
             "testing/patient101/patient101_frame01"]  # fmt: skip
    files = pairs(
        of,
        [f"ACDC/database/{stem}.nii.gz" for stem in stems],
        [f"ACDC/database/{stem}_gt.nii.gz" for stem in stems],
    )
    files["ACDC/database/training/patient001/patient001_4d.nii.gz"] = b"not read"
    names = tuple(stem.rpartition("/")[2] for stem in stems)
    return LookAlike(
        names, served={"ACDC.zip": packed_zip(files)}, parts={"patient101_frame01": "test"}
    )


def masks_of(of: Source, root: str) -> dict[str, bytes]:
    """Return a mask file for each structure, the oesophagus overlapping the myocardium."""
    drawn = {name: truth(of, name).astype(np.uint8) for name in of.written}
    if "heart_myocardium" in drawn:
        drawn["esophagus"] = drawn["esophagus"] | drawn["heart_myocardium"]
    return {f"{root}/segmentations/{name}.nii.gz": nifti(mask) for name, mask in drawn.items()}


def totalsegmentator(of: Source, top: str, scans: tuple[str, ...]) -> LookAlike:
    files: dict[str, bytes] = {}
    rows = META
    for number, scan in enumerate(scans):
        files[f"{top}{scan}/ct.nii.gz"] = nifti(image_of(number))
        files |= masks_of(of, f"{top}{scan}") if scan not in of.leave_out else {}
        rows += f"{scan};60;m;A;ct abdomen;{'test' if number == 1 else 'train'}\n"
    if "s0864" in scans:  # no mask of it is read
        path = f"{top}s0864/ct.nii.gz"
        files[path] = files[path][:-12]
    files[f"{top}meta.csv"] = rows.encode()
    kept = tuple(scan for scan in scans if scan not in of.leave_out)
    parts = dict.fromkeys(scans[1:2], "test")
    return LookAlike(kept, served={of.files[0].name: packed_zip(files)}, parts=parts)


def abdomenatlas(of: Source) -> LookAlike:
    own = {"inferior_vena_cava": "postcava", "gallbladder": "gall_bladder",
           "urinary_bladder": "bladder", "small_bowel": "intestine",
           "prostate_or_uterus": "prostate", "hepatic_vessels": "hepatic_vessel"}  # fmt: skip
    root = "BDMAP_00000001"
    files = {f"{root}/ct.nii.gz": nifti(image_of(0))}
    for name in of.written:
        path = f"{root}/segmentations/{own.get(name, name)}.nii.gz"
        files[path] = nifti(truth(of, name).astype(np.uint8))
    files[f"{root}/segmentations/some_new_tumour.nii.gz"] = b"not read"
    return LookAlike((root,), unpacked=files)


LAYOUTS: dict[str, tuple[str, Callable[[Source], LookAlike]]] = {
    "totalsegmentator_v1": (
        "totalsegmentator_v1",
        partial(
            totalsegmentator,
            top="Totalsegmentator_dataset/",
            scans=("s0004", "s0029", "s0864"),
        ),
    ),
    "totalsegmentator_v2": (
        "totalsegmentator_v2",
        partial(totalsegmentator, top="", scans=("s0000",)),
    ),
    "btcv": ("btcv", btcv),
    "flare22": ("flare22", flare22),
    "msd_liver": ("msd", partial(msd, task="Task03_Liver", stem="liver")),
    "msd_lung": ("msd", partial(msd, task="Task06_Lung", stem="lung")),
    "msd_pancreas": ("msd", partial(msd, task="Task07_Pancreas", stem="pancreas")),
    "msd_hepatic_vessel": ("msd", partial(msd, task="Task08_HepaticVessel", stem="hepaticvessel")),
    "msd_spleen": ("msd", partial(msd, task="Task09_Spleen", stem="spleen")),
    "msd_colon": ("msd", partial(msd, task="Task10_Colon", stem="colon")),
    "amos22": ("amos22", amos22),
    "kits": ("kits", kits),
    "lits": ("lits", lits),
    "chaos_ct": ("chaos", partial(chaos, kind="CT")),
    "chaos_mr": ("chaos", partial(chaos, kind="MR")),
    "abdomenct_1k": ("abdomenct_1k", abdomenct_1k),
    "abdomenct_12organ": ("abdomenct_12organ", abdomenct_12organ),
    "word": ("word", word),
    "ct_org": ("ct_org", ct_org),
    "ircadb": ("ircadb", ircadb),
    "pancreas_ct": ("pancreas_ct", pancreas_ct),
    "acdc": ("acdc", acdc),
    "abdomenatlas_1_0": ("abdomenatlas", abdomenatlas),
    "abdomenatlas_1_1": ("abdomenatlas", abdomenatlas),
}
"""Source to its script and its look-alike."""

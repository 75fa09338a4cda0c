"""What the authors of the image sets publish: files, checksums, addresses, terms of use."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class PublishedFile:
    """One file as its authors publish it.

    Attributes
    ----------
    name : str
        File name.
    sha256 : str or None
        Published SHA-256.
    md5 : str
        Published MD5, for files without a SHA-256.
    size : int or None
        Bytes.
    mirrors : tuple of str
        Addresses, tried in this order.
    """

    name: str
    sha256: str | None = None
    md5: str = ""
    size: int | None = None
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedSet:
    """One set of images.

    Attributes
    ----------
    name, title : str
        Name for `load`, and name in words.
    shape : (int, int, int)
        Height, width, channels.
    counts : (int, int)
        Training and test images as published.
    torchvision : str
        Folder below a torchvision root.
    downloads : tuple of PublishedFile
        What is downloaded.
    others : tuple of PublishedFile
        Further published forms, recognised where they are found.
    licence, citation : str
        Terms of use and whom to cite.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    counts: tuple[int, int]
    torchvision: str
    downloads: tuple[PublishedFile, ...]
    others: tuple[PublishedFile, ...]
    licence: str
    citation: str


def _idx(folder_urls: tuple[str, ...], table: dict[str, tuple[int, str, str]]) -> tuple[PublishedFile, ...]:
    return tuple(
        PublishedFile(name, sha256, md5, size, tuple(f"{url}{name}" for url in folder_urls))
        for name, (size, md5, sha256) in table.items()
    )


_MNIST = _idx(
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    {
        "train-images-idx3-ubyte.gz": (
            9_912_422,
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        "train-labels-idx1-ubyte.gz": (
            28_881,
            "d53e105ee54ea40749a09fcbcd1e9432",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        "t10k-images-idx3-ubyte.gz": (
            1_648_877,
            "9fb629c4189551a2d022fa330f9573f3",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        "t10k-labels-idx1-ubyte.gz": (
            4_542,
            "ec29112dd5afa0611ce80d1b7f02629c",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    },
)
# As Keras distributes it, all four arrays in one file.
_MNIST_OTHERS = (
    PublishedFile(
        "mnist.npz",
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
        "8a61469f7ea1b51cbae51d4f78837e45",
    ),
)
_FASHION = _idx(
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    {
        "train-images-idx3-ubyte.gz": (
            26_421_880,
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        "train-labels-idx1-ubyte.gz": (
            29_515,
            "25c81989df183df01b3e8a0aad5dffbe",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        "t10k-images-idx3-ubyte.gz": (
            4_422_102,
            "bef4ecab320f06d8554ea6380940ec79",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        "t10k-labels-idx1-ubyte.gz": (
            5_148,
            "bb300cfdad3c16e7a12a480ee83cd310",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    },
)
_CIFAR = (
    PublishedFile(
        "cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        "c32a1d4ab5d03f1284b67883e8d87530",
        170_052_171,
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
        ),
    ),
)
_CIFAR_OTHERS = (
    PublishedFile(
        "cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        "c58f30108f718f92721af3b95e74349a",
    ),
    *(
        PublishedFile(name, md5=md5)
        for name, md5 in {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        }.items()
    ),
)
_SVHN_URL = "http://ufldl.stanford.edu/housenumbers/"
_SVHN = (
    PublishedFile(
        "train_32x32.mat",
        "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        "e26dedcc434d2e4c54c9b2d4a06d8373",
        182_040_794,
        (f"{_SVHN_URL}train_32x32.mat",),
    ),
    PublishedFile(
        "test_32x32.mat",
        "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        "eb5a983be6a315427106f1b164d9cef3",
        64_275_384,
        (f"{_SVHN_URL}test_32x32.mat",),
    ),
)

PUBLISHED: dict[str, PublishedSet] = {
    entry.name: entry
    for entry in (
        PublishedSet(
            "mnist",
            "MNIST",
            (28, 28, 1),
            (60_000, 10_000),
            "MNIST/raw",
            _MNIST,
            _MNIST_OTHERS,
            "CC BY-SA 3.0 (as Keras states it), copyright Y. LeCun and C. Cortes",
            "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), Gradient-based learning applied to document "
            "recognition, Proc. IEEE 86(11)",
        ),
        PublishedSet(
            "fashion-mnist",
            "Fashion-MNIST",
            (28, 28, 1),
            (60_000, 10_000),
            "FashionMNIST/raw",
            _FASHION,
            (),
            "MIT, copyright 2017 Zalando SE",
            "H. Xiao, K. Rasul, R. Vollgraf (2017), Fashion-MNIST, arXiv:1708.07747",
        ),
        PublishedSet(
            "cifar10",
            "CIFAR-10",
            (32, 32, 3),
            (50_000, 10_000),
            "",
            _CIFAR,
            _CIFAR_OTHERS,
            "none stated by the author",
            "A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images, tech. report, "
            "University of Toronto",
        ),
        PublishedSet(
            "svhn",
            "SVHN",
            (32, 32, 3),
            (73_257, 26_032),
            "",
            _SVHN,
            (),
            "non-commercial use only",
            "Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng (2011), Reading Digits in Natural "
            "Images with Unsupervised Feature Learning, NIPS workshop",
        ),
    )
}
"""Sets that are read from files; the digits ship in the package."""

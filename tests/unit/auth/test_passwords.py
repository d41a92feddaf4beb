"""Our hashes, imported ones, and strings that are none."""

from __future__ import annotations

import time

import pytest

from angarium.auth.passwords import UnknownHashError, check_password, decoy_hash, hash_password, is_hash

# All of the password "geheim", made by other programs: openssl passwd, doveadm pw, crypt_gensalt(3).
IMPORTED = [
    "$6$saltsaltsalt$OVGIo/QQysbHPiV.uQJEBRYUERRSIO/.tsFM2RentXoSO1Hw78WnZDpdFcBKGtor2nH7xDCW55mmdI8OS9sNW/",
    "$5$saltsalt$cKRA0A5uaKu0/NNi2WMrB.mMOAVMowckrDNQ4fKUJ06",
    "$1$saltsalt$wTLsTBb/.H7e4VHujepbF0",
    "{BLF-CRYPT}$2y$05$db6DSF3U4n20Jbb0dvq4euvQjnOnLEz/i59WaOuc0kgs5n3SbEXQG",
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$J3Q+SBN3PYWbauHuWXDXTA$zCYrneGec7sTBfCuuqHUbN3bJ39yB/oYn0y3B9OSJ3s",
    (
        "{SHA512-CRYPT}$6$nT9jxzo2E9rjT8lu$"
        "gHD04CesQldaRaAI4KQIFnBCU.XVm75jyI1KDatrKqp6EpdsQOzchOGLneFru1uRyn3TKPIZkN2/y42Mu26Ax."
    ),
    "$y$j75$xnm7e6CFWXMGSYrV1/bdN.$P2b2DfSLJ2X2edZp95H.6sLgqVo5xlWA07KXIBl3.SC",
]


@pytest.mark.parametrize("stored", IMPORTED)
def test_imported(stored: str) -> None:
    assert is_hash(stored)
    assert check_password(stored, "geheim")
    assert not check_password(stored, "geheim2")


@pytest.mark.parametrize("stored", IMPORTED)
@pytest.mark.parametrize("length", [511, 512, 4096])
def test_a_password_longer_than_crypt_takes_is_wrong_and_no_failure_of_ours(stored: str, length: int) -> None:
    """It said "temporary failure" there: the same for all passwords tells who has an imported hash."""
    assert not check_password(stored, "x" * length)
    assert not check_password(stored, "geheim" + " " * length)


def test_our_own() -> None:
    stored = hash_password("geheim")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert check_password(stored, "geheim")
    assert not check_password(stored, "Geheim")
    assert check_password("{ARGON2ID}" + stored, "geheim")
    assert stored != hash_password("geheim")


def test_the_decoy_fits_nothing_and_costs_the_same() -> None:
    stored = hash_password("geheim")
    real = _time(stored)
    decoy = _time(decoy_hash())
    assert not check_password(decoy_hash(), "")
    assert 0.3 < decoy / real < 3


def _time(stored: str) -> float:
    times = []
    for _ in range(5):
        started = time.perf_counter()
        check_password(stored, "wrong")
        times.append(time.perf_counter() - started)
    return min(times)


@pytest.mark.parametrize(
    "text", ["", "geheim", "{PLAIN}geheim", "$argon2id$v=19$damaged", "$9$x$y", "$6$sält$x", "*", "!"]
)
def test_no_hashes(text: str) -> None:
    with pytest.raises(UnknownHashError) as caught:
        check_password(text, "geheim")
    assert "geheim" not in str(caught.value)


def test_what_an_import_takes() -> None:
    assert is_hash(hash_password("x"))
    assert is_hash("{SHA512-CRYPT}$6$salt$hash")
    assert not is_hash("{PLAIN}x")
    assert not is_hash("password")

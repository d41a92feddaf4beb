"""Parameters of main.cf: tls."""

from __future__ import annotations

from angarium.config.parameter import Parameter, Status, Type

PARAMETERS = (
    Parameter("tls_append_default_CA", Type.BOOLEAN, "no", "", "tls", Status.UNSUPPORTED),
    Parameter("tls_config_file", Type.STRING, "default", "", "tls", Status.UNSUPPORTED),
    Parameter("tls_config_name", Type.STRING, "", "", "tls", Status.UNSUPPORTED),
    Parameter(
        "tls_daemon_random_bytes",
        Type.INTEGER,
        "32",
        "",
        "tls",
        Status.NO_EFFECT,
        "the operating system's random numbers are used",
        minimum=0,
    ),
    Parameter("tls_dane_digests", Type.NAMES, "sha512 sha256", "", "tls", Status.UNSUPPORTED),
    Parameter("tls_disable_workarounds", Type.NAMES, "", "", "tls", Status.UNSUPPORTED),
    Parameter(
        "tls_eecdh_auto_curves", Type.NAMES, "X25519 X448 prime256v1 secp521r1 secp384r1", "", "tls", Status.UNSUPPORTED
    ),
    Parameter(
        "tls_eecdh_strong_curve", Type.STRING, "prime256v1", "", "tls", Status.NO_EFFECT, "OpenSSL's own choice is used"
    ),
    Parameter(
        "tls_eecdh_ultra_curve", Type.STRING, "secp384r1", "", "tls", Status.NO_EFFECT, "OpenSSL's own choice is used"
    ),
    Parameter(
        "tls_export_cipherlist",
        Type.STRING,
        "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH",
        "",
        "tls",
        Status.NO_EFFECT,
        "export ciphers are gone",
    ),
    Parameter("tls_fast_shutdown_enable", Type.BOOLEAN, "yes", "", "tls", Status.UNSUPPORTED),
    Parameter(
        "tls_ffdhe_auto_groups",
        Type.NAMES,
        "ffdhe2048 ffdhe3072",
        "",
        "tls",
        Status.NO_EFFECT,
        "OpenSSL's own choice is used",
    ),
    Parameter("tls_high_cipherlist", Type.STRING, "aNULL:-aNULL:HIGH:@STRENGTH", "", "tls", Status.UNSUPPORTED),
    Parameter("tls_legacy_public_key_fingerprints", Type.BOOLEAN, "no", "", "tls", Status.UNSUPPORTED),
    Parameter(
        "tls_low_cipherlist",
        Type.STRING,
        "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH",
        "",
        "tls",
        Status.NO_EFFECT,
        "low-grade ciphers are gone",
    ),
    Parameter(
        "tls_medium_cipherlist", Type.STRING, "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH", "", "tls", Status.UNSUPPORTED
    ),
    Parameter("tls_null_cipherlist", Type.STRING, "eNULL:!aNULL", "", "tls", Status.UNSUPPORTED),
    Parameter("tls_preempt_cipherlist", Type.BOOLEAN, "no", "Choose ciphers by the server's order.", "tls"),
    Parameter(
        "tls_random_bytes",
        Type.INTEGER,
        "32",
        "",
        "tls",
        Status.NO_EFFECT,
        "the operating system's random numbers are used",
        minimum=0,
    ),
    Parameter(
        "tls_random_exchange_name",
        Type.STRING,
        "${data_directory}/prng_exch",
        "",
        "tls",
        Status.NO_EFFECT,
        "the operating system's random numbers are used",
    ),
    Parameter(
        "tls_random_prng_update_period",
        Type.TIME,
        "3600s",
        "",
        "tls",
        Status.NO_EFFECT,
        "the operating system's random numbers are used",
    ),
    Parameter(
        "tls_random_reseed_period",
        Type.TIME,
        "3600s",
        "",
        "tls",
        Status.NO_EFFECT,
        "the operating system's random numbers are used",
    ),
    Parameter(
        "tls_random_source",
        Type.STRING,
        "dev:/dev/urandom",
        "",
        "tls",
        Status.NO_EFFECT,
        "the operating system's random numbers are used",
    ),
    Parameter("tls_required_enable", Type.BOOLEAN, "yes", "", "tls", Status.UNSUPPORTED),
    Parameter("tls_server_sni_maps", Type.TABLES, "", "", "tls", Status.UNSUPPORTED),
    Parameter(
        "tls_session_ticket_cipher",
        Type.STRING,
        "aes-256-cbc",
        "",
        "tls",
        Status.NO_EFFECT,
        "OpenSSL's own choice is used",
    ),
    Parameter("tls_ssl_options", Type.NAMES, "", "", "tls", Status.UNSUPPORTED),
    Parameter("tls_wildcard_matches_multiple_labels", Type.BOOLEAN, "yes", "", "tls", Status.UNSUPPORTED),
    Parameter(
        "tlsmgr_service_name",
        Type.STRING,
        "tlsmgr",
        "",
        "tls",
        Status.NO_EFFECT,
        "services find each other inside the process",
    ),
)

//! Secrets and signatures against the vectors that were published, and against code that is not ours.

use ring::signature::{ED25519, UnparsedPublicKey};
use secrecy::ExposeSecret;

use super::*;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIMESTAMP: u64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn parse(text: &str) -> Result<Scheme, SecretError> {
    SigningSecret::parse(text).map(|secret| secret.scheme())
}

/// The vector that the official libraries test themselves with.
#[test]
fn the_published_hmac_vector() {
    let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    assert_eq!(secret.sign(ID, TIMESTAMP, BODY), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(secret.public_key(), None);
}

/// RFC 8032, section 7.1: TEST 1, 2, 3 and SHA(abc); secret key, public key, message, signature.
#[test]
fn the_published_ed25519_vectors() {
    for [seed, public, message, signature] in RFC_8032 {
        let text = format!("whsk_{}", STANDARD.encode(bytes(seed)));
        let secret = SigningSecret::parse(&text).unwrap();
        assert_eq!(secret.public_key().unwrap().to_vec(), bytes(public));
        let Kind::V1a(key) = &secret.0 else { panic!("an Ed25519 key") };
        assert_eq!(key.sign(&bytes(message)).to_bytes().to_vec(), bytes(signature));
        let pair = format!("whsk_{}", STANDARD.encode([bytes(seed), bytes(public)].concat()));
        assert_eq!(parse(&pair), Ok(Scheme::V1a));
    }
}

#[test]
fn an_ed25519_signature_is_of_id_timestamp_and_body() {
    let text = SigningSecret::text_of(Scheme::V1a, &[7; 32]);
    let secret = SigningSecret::parse(text.expose_secret()).unwrap();
    let signature = secret.sign(ID, TIMESTAMP, BODY);
    let signature = STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
    let public = public_key_text(&secret.public_key().unwrap());
    let public = UnparsedPublicKey::new(&ED25519, STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap());
    let message = [format!("{ID}.{TIMESTAMP}.").as_bytes(), BODY].concat();
    assert!(public.verify(&message, &signature).is_ok());
    assert!(public.verify(&message[1..], &signature).is_err());
}

#[test]
fn the_official_library_takes_what_is_signed() {
    let text = SigningSecret::text_of(Scheme::V1, &[9; 32]);
    let secret = SigningSecret::parse(text.expose_secret()).unwrap();
    let official = standardwebhooks::Webhook::new(text.expose_secret()).unwrap();
    for body in [BODY, b"", "{\"name\":\"Zo\u{eb}\"}".as_bytes()] {
        let expected = official.sign(ID, TIMESTAMP as i64, body).unwrap();
        assert_eq!(secret.sign(ID, TIMESTAMP, body), expected);
    }
}

#[test]
fn a_new_secret_is_one_that_can_be_read() {
    for scheme in [Scheme::V1, Scheme::V1a] {
        assert_eq!(parse(SigningSecret::text_of(scheme, &[3; 32]).expose_secret()), Ok(scheme));
    }
}

#[test]
fn a_text_of_another_form_is_refused() {
    let hmac = |len: usize| format!("whsec_{}", STANDARD.encode(vec![5; len]));
    let ed25519 = |len: usize| format!("whsk_{}", STANDARD.encode(vec![5; len]));
    for len in [24, 25, 32, 64] {
        assert_eq!(parse(&hmac(len)), Ok(Scheme::V1), "{len}");
    }
    for len in [0, 1, 23, 65, 100] {
        assert_eq!(parse(&hmac(len)), Err(SecretError::Hmac), "{len}");
    }
    for text in ["whsec_", "whsec_not base64 at all, not at all", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA"] {
        assert_eq!(parse(text), Err(SecretError::Hmac), "{text}");
    }
    // 64 bytes are a seed and its public key, and these are not.
    for len in [0, 31, 33, 63, 64, 65] {
        assert_eq!(parse(&ed25519(len)), Err(SecretError::Ed25519), "{len}");
    }
    for text in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whpk_AAAA", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
        assert_eq!(parse(text), Err(SecretError::Prefix), "{text}");
    }
}

const RFC_8032: [[&str; 4]; 4] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
];

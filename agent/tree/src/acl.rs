//! Who may do what: schemes world, auth, digest, ip, sasl, x509 and super.

use std::net::IpAddr;

use base64::Engine;
use sha1::{Digest, Sha1};
use streamkeeper_base::znode::{Acl, ErrorCode, Identity};

/// True if one of the identities is granted all bits of `wanted`. Checks are not recursive.
pub fn may(acls: &[Acl], wanted: i32, identities: &[Identity]) -> bool {
    if identities.iter().any(|identity| identity.scheme == "super") {
        return true;
    }
    acls.iter().any(|acl| acl.perms & wanted == wanted && names(&acl.who, identities))
}

fn names(who: &Identity, identities: &[Identity]) -> bool {
    match who.scheme.as_str() {
        "world" => who.id == "anyone",
        "ip" => identities.iter().any(|i| i.scheme == "ip" && ip_matches(&who.id, &i.id)),
        // SASLAuthenticationProvider.matches: the user "super" matches every one.
        "sasl" => identities.iter().any(|i| i.scheme == "sasl" && (i.id == who.id || i.id == "super")),
        scheme => identities.iter().any(|i| i.scheme == scheme && i.id == who.id),
    }
}

/// The identity that credentials prove.
///
/// # Errors
/// `AUTH_FAILED` for an unknown scheme or credentials that are not what it wants.
pub fn authenticate(scheme: &str, credentials: &[u8]) -> Result<Identity, ErrorCode> {
    match scheme {
        "digest" => {
            let text = std::str::from_utf8(credentials).map_err(|_| ErrorCode::AUTH_FAILED)?;
            let (user, _) = text.split_once(':').ok_or(ErrorCode::AUTH_FAILED)?;
            let hash = base64::engine::general_purpose::STANDARD.encode(Sha1::digest(credentials));
            Ok(Identity { scheme: scheme.to_owned(), id: format!("{user}:{hash}") })
        }
        _ => Err(ErrorCode::AUTH_FAILED),
    }
}

/// An ACL as it is stored: `auth` becomes the caller's own identities, doubles go.
///
/// # Errors
/// `INVALID_ACL` if it is empty, names nobody, or an entry is malformed.
pub(crate) fn resolve(acls: &[Acl], identities: &[Identity]) -> Result<Vec<Acl>, ErrorCode> {
    let mut resolved: Vec<Acl> = Vec::new();
    for acl in acls {
        let mut add = |entry: Acl| {
            if !resolved.contains(&entry) {
                resolved.push(entry);
            }
        };
        match acl.who.scheme.as_str() {
            "world" if acl.who.id == "anyone" => add(acl.clone()),
            "auth" => {
                let proves = |i: &&Identity| matches!(i.scheme.as_str(), "digest" | "sasl" | "x509");
                let proven: Vec<&Identity> = identities.iter().filter(proves).collect();
                if proven.is_empty() {
                    return Err(ErrorCode::INVALID_ACL);
                }
                proven.into_iter().for_each(|who| add(Acl { perms: acl.perms, who: who.clone() }));
            }
            "digest" if acl.who.id.split_once(':').is_some() => add(acl.clone()),
            "sasl" | "x509" if !acl.who.id.is_empty() => add(acl.clone()),
            "ip" if cidr(&acl.who.id).is_some() => add(acl.clone()),
            _ => return Err(ErrorCode::INVALID_ACL),
        }
    }
    if resolved.is_empty() { Err(ErrorCode::INVALID_ACL) } else { Ok(resolved) }
}

/// Digest identities as clients without ADMIN see them: `user:x` (CVE-2019-0201).
pub(crate) fn mask(acls: &[Acl]) -> Vec<Acl> {
    let masked = |acl: &Acl| {
        let mut acl = acl.clone();
        if acl.who.scheme == "digest"
            && let Some((user, _)) = acl.who.id.split_once(':')
        {
            acl.who.id = format!("{user}:x");
        }
        acl
    };
    acls.iter().map(masked).collect()
}

fn cidr(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(width), |b| b.parse().ok())?;
    (bits <= width).then_some((address, bits))
}

fn ip_matches(range: &str, address: &str) -> bool {
    let (Some((network, bits)), Ok(address)) = (cidr(range), address.parse::<IpAddr>()) else { return false };
    match (network, address) {
        (IpAddr::V4(n), IpAddr::V4(a)) => {
            prefix(n.to_bits().into(), bits, 32) == prefix(a.to_bits().into(), bits, 32)
        }
        (IpAddr::V6(n), IpAddr::V6(a)) => prefix(n.to_bits(), bits, 128) == prefix(a.to_bits(), bits, 128),
        _ => false,
    }
}

fn prefix(address: u128, bits: u32, width: u32) -> u128 {
    address.checked_shr(width - bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_addresses() {
        assert!(ip_matches("10.0.0.0/8", "10.1.2.3") && ip_matches("10.1.2.3", "10.1.2.3"));
        assert!(!ip_matches("10.0.0.0/16", "10.1.2.3") && ip_matches("0.0.0.0/0", "1.2.3.4"));
        assert!(ip_matches("fe80::/10", "fe80::1") && !ip_matches("fe80::/10", "10.1.2.3"));
        assert!(cidr("10.0.0.0/33").is_none() && cidr("host").is_none());
    }

    #[test]
    fn digest_is_zookeepers() {
        let identity = authenticate("digest", b"super:test").expect("credentials");
        assert_eq!(identity.id, "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        assert!(authenticate("digest", b"nocolon").is_err() && authenticate("x", b"a:b").is_err());
    }

    #[test]
    fn auth_stands_for_the_callers_identities() {
        let me = authenticate("digest", b"u:p").expect("credentials");
        let auth = [Acl { perms: 31, who: Identity::new("auth", "") }];
        assert_eq!(resolve(&auth, &[]), Err(ErrorCode::INVALID_ACL));
        let resolved = resolve(&auth, std::slice::from_ref(&me)).expect("proven");
        assert_eq!(resolved, [Acl { perms: 31, who: me }]);
        assert_eq!(mask(&resolved)[0].who.id, "u:x");
        assert_eq!(resolve(&[], &[]), Err(ErrorCode::INVALID_ACL));
        let sasl = [Identity::new("ip", "::1"), Identity::new("sasl", "joe")];
        assert_eq!(resolve(&auth, &sasl), Ok(vec![Acl { perms: 31, who: sasl[1].clone() }]));
    }

    #[test] // SASLAuthenticationProvider.matches
    fn a_sasl_user_matches_itself_and_super_everyone() {
        let acl = [Acl { perms: 1, who: Identity::new("sasl", "joe") }];
        let may_read = |scheme: &str, id: &str| may(&acl, 1, &[Identity::new(scheme, id)]);
        assert!(may_read("sasl", "joe") && may_read("sasl", "super") && may_read("super", ""));
        assert!(!may_read("sasl", "ann") && !may_read("digest", "joe") && !may_read("digest", "super"));
    }
}

//! The one spelling of the address of a Command Center, by which two of them are compared. Pure.

use serde::{Deserialize as _, Deserializer};
use url::{Host, Url};

/// `url` as it is compared with others: its host without the dots at its end, of which a [`Url`] takes more than one. The case of
/// the host, an escape in it and the default port have no spelling of their own there. Nothing when no host is left.
#[must_use]
pub fn one_spelling(mut url: Url) -> Option<Url> {
    if let Some(Host::Domain(name)) = url.host()
        && name.ends_with('.')
    {
        let name = name.trim_end_matches('.').to_owned();
        url.set_host(Some(&name)).ok()?;
    }
    Some(url)
}

/// `url` as it stands in a status: without a slash at its end.
#[must_use]
pub fn text(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// The address in a status, in the one spelling. An older version of the operator, or a person, may have stored another
/// one; what is no address stays as it is.
pub(super) fn stored<'de, D: Deserializer<'de>>(address: D) -> Result<Option<String>, D::Error> {
    let stored = Option::<String>::deserialize(address)?;
    Ok(stored.map(|stored| {
        let known = Url::parse(&stored).ok().filter(Url::has_host).and_then(one_spelling);
        known.map_or(stored, |url| text(&url).to_owned())
    }))
}

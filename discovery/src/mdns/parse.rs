//! Reading what the library says in text. Pure.

use super::SERVICE_TYPE;

/// From the text of "search started" the number of interfaces it is searched on. 0 is the only sign that the port
/// could not be bound. `None` if the text is not as expected.
pub(super) fn interface_count(text: &str) -> Option<usize> {
    let rest = text.strip_prefix(SERVICE_TYPE)?.strip_prefix(" on ")?;
    let (count, rest) = rest.split_once(' ')?;
    rest.starts_with("interfaces").then(|| count.parse().ok())?
}

/// The instance of a full name, lower case. The library prints it without the escapes, so it may contain dots: it is
/// all before the service type, and never found by splitting.
pub(super) fn instance_label(fullname: &str) -> Option<String> {
    let at = fullname.len().checked_sub(SERVICE_TYPE.len())?;
    let (label, service_type) = fullname.split_at_checked(at)?;
    let label = label.strip_suffix('.').filter(|label| !label.is_empty())?;
    service_type
        .eq_ignore_ascii_case(SERVICE_TYPE)
        .then(|| label.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_interfaces() {
        let text = |rest: &str| format!("{SERVICE_TYPE}{rest}");
        assert_eq!(interface_count(&text(" on 0 interfaces []")), Some(0));
        assert_eq!(
            interface_count(&text(" on 2 interfaces [lo (1), on 9 interfaces (2)]")),
            Some(2)
        );
        for odd in [
            "",
            " on x interfaces []",
            " on 3",
            " on 3 houses",
            " at 3 interfaces",
        ] {
            assert_eq!(interface_count(&text(odd)), None, "{odd}");
        }
        assert_eq!(interface_count("_other._udp.local. on 3 interfaces"), None);
    }

    #[test]
    fn an_instance_may_contain_anything() {
        for (instance, label) in [
            ("abc", Some("abc")),
            ("Avahi Büro.1 (2)", Some("avahi büro.1 (2)")),
            ("", None),
        ] {
            let fullname = format!("{instance}.{SERVICE_TYPE}");
            assert_eq!(instance_label(&fullname).as_deref(), label);
        }
        assert_eq!(
            instance_label("a._SOFTBUS._udp.LOCAL.").as_deref(),
            Some("a")
        );
        for odd in [
            "",
            SERVICE_TYPE,
            "a_softbus._udp.local.",
            "a._other._udp.local.",
        ] {
            assert_eq!(instance_label(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            interface_count(&text);
            interface_count(&format!("{SERVICE_TYPE}{text}"));
            instance_label(&text);
        }
    }
}

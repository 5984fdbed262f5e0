//! Values of options, checked.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use softbus::{ServiceId, transport::Transports};

/// The longest wait there is, in seconds.
const MAX_SECONDS: f64 = 3000.0;

/// Where to listen: an address, and a port if it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    pub(crate) ip: IpAddr,
    pub(crate) port: Option<u16>,
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self {
                ip: address.ip(),
                port: Some(address.port()),
            });
        }
        let ip = text
            .parse()
            .map_err(|_| "not an IP address, with or without a port")?;
        Ok(Self { ip, port: None })
    }
}

/// A device as the user calls it, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StaticPeer {
    pub(crate) device: String,
    pub(crate) address: SocketAddr,
}

impl FromStr for StaticPeer {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (device, address) = text
            .rsplit_once('@')
            .ok_or("not of the form DEVICE@IP:PORT")?;
        let address = address.parse().map_err(|_| "behind the @ is no IP:PORT")?;
        Ok(Self {
            device: device.to_owned(),
            address,
        })
    }
}

/// A time in seconds, which may be a fraction.
pub(super) fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    if seconds <= 0.0 || seconds > MAX_SECONDS {
        return Err("not above 0 and at most 3000");
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| "not a number of seconds")
}

/// The id of a service, decimal or with `0x`.
pub(super) fn service(text: &str) -> Result<ServiceId, &'static str> {
    number(text)
        .and_then(ServiceId::new)
        .ok_or("not a number in 1..=0xffffff")
}

/// Which method: by code or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MethodName {
    Code(u32),
    Name(String),
}

impl FromStr for MethodName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // No name begins with a digit, nor with a sign.
        if text.is_empty() || text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        {
            return code(text).map(Self::Code);
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "of code {code}"),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

/// The code of a method, decimal or with `0x`.
fn code(text: &str) -> Result<u32, &'static str> {
    // Methods have the range that services have.
    service(text).map(ServiceId::get)
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// By what to talk to other devices.
pub(super) fn transports(text: &str) -> Result<Transports, String> {
    match text {
        "all" => Ok(Transports::All),
        "quic" => Ok(Transports::Quic),
        "tcp" => Ok(Transports::Tcp),
        _ => Err("neither quic, tcp nor all".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_a_port() {
        let parsed = |text: &str| text.parse::<ListenAddress>().map(|listen| listen.port);
        assert_eq!(parsed("127.0.0.1"), Ok(None));
        assert_eq!(parsed("::1"), Ok(None));
        assert_eq!(parsed("[::1]:40"), Ok(Some(40)));
        assert!(parsed("localhost").is_err());
    }

    #[test]
    fn the_address_of_a_peer_is_behind_the_last_at() {
        let peer: StaticPeer = "me@home@[::1]:40".parse().unwrap();
        assert_eq!(peer.device, "me@home");
        assert_eq!(peer.address.port(), 40);
        assert!("kitchen@127.0.0.1".parse::<StaticPeer>().is_err());
        assert!("127.0.0.1:40".parse::<StaticPeer>().is_err());
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "NaN", "inf", "3001", "x"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(code("0xffffff"), Ok(0xff_ffff));
        for wrong in ["0", "-1", "0x1000000", "16777216", ""] {
            assert!(code(wrong).is_err(), "{wrong}");
        }
    }
}

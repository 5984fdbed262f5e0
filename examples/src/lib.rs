//! What the examples share: their arguments, so that each file shows the soft-bus and nothing else.

use std::{error::Error, fmt, io::BufRead, net::SocketAddr, path::PathBuf, thread};

use softbus::{DeviceId, Interfaces, Node};

/// The options every example takes, after its own arguments.
const OPTIONS: &str = "\
options:
  --dir DIR          where this device keeps its identity and whom it trusts
  --trust ID         trust a device; may be given again; remembered in DIR
  --loopback         this machine only: 127.0.0.1 and mDNS on the loopback interface";

/// The arguments of an example.
#[derive(Debug)]
#[non_exhaustive]
pub struct Arguments {
    /// What comes before the options.
    pub words: Vec<String>,
    /// `--dir`, or the directory the example is called after.
    pub dir: PathBuf,
    /// Those of `--trust`.
    pub trust: Vec<DeviceId>,
    /// Where to find and be found: all interfaces, or with `--loopback` that one.
    pub interfaces: Interfaces,
    /// Where to listen: all addresses, or with `--loopback` 127.0.0.1; any free port.
    pub listen: SocketAddr,
}

impl Arguments {
    /// Reads the arguments of this program. With `--help`, or if they make no sense, says how it is used and ends it.
    /// Shows what the library logs if `RUST_LOG` says so.
    pub fn parse(usage: &str, dir: &str) -> Self {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .init();
        let parsed = Self::read(dir, std::env::args().skip(1));
        parsed.unwrap_or_else(|error| {
            let text = format!("usage: {usage} [OPTION]..\n{OPTIONS} (default {dir})");
            match error {
                Some(error) => {
                    eprintln!("{error}\n{text}");
                    std::process::exit(2)
                }
                None => {
                    println!("{text}");
                    std::process::exit(0)
                }
            }
        })
    }

    fn read(dir: &str, mut words: impl Iterator<Item = String>) -> Result<Self, Option<String>> {
        let mut arguments = Self {
            words: Vec::new(),
            dir: dir.into(),
            trust: Vec::new(),
            interfaces: Interfaces::All,
            listen: SocketAddr::from(([0; 16], 0)),
        };
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| Some(format!("{word} needs a value")))
            };
            match word.as_str() {
                "--help" | "-h" => return Err(None),
                "--dir" => arguments.dir = value()?.into(),
                "--trust" => arguments.trust.push(device_id(&value()?).map_err(Some)?),
                "--loopback" => {
                    arguments.interfaces = Interfaces::LoopbackOnly;
                    arguments.listen = SocketAddr::from(([127, 0, 0, 1], 0));
                }
                option if option.starts_with('-') => {
                    return Err(Some(format!("unknown: {option}")));
                }
                _ => arguments.words.push(word),
            }
        }
        Ok(arguments)
    }

    /// The first device of `--trust`: the one this program talks to.
    ///
    /// # Errors
    /// None was named.
    pub fn other(&self) -> Result<DeviceId, MissingDevice> {
        self.trust.first().copied().ok_or(MissingDevice)
    }

    /// Says who this device is, and trusts those of `--trust` and those whose ids somebody types from now on.
    ///
    /// # Errors
    /// The trust store could not be written.
    pub fn introduce(&self, node: &Node) -> Result<(), Box<dyn Error>> {
        let trust = node
            .trust()
            .ok_or("an attached node trusts whom its host trusts")?;
        for device in &self.trust {
            trust.trust(*device, "")?;
        }
        println!("I am {}", node.device_id());
        println!(
            "Both sides have to trust each other: give the other one --trust and this id, or type its id here."
        );
        let trust = trust.clone();
        thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                match device_id(&line) {
                    Ok(device) => match trust.trust(device, "") {
                        Ok(()) => println!("trusting {}", device.short()),
                        Err(error) => eprintln!("{error}"),
                    },
                    Err(error) => eprintln!("{error}"),
                }
            }
        });
        Ok(())
    }
}

fn device_id(text: &str) -> Result<DeviceId, String> {
    text.trim()
        .parse()
        .map_err(|error| format!("{text:?} is no device id: {error}"))
}

/// `--trust` is missing where a program has to know whom to talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingDevice;

impl fmt::Display for MissingDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("whom to talk to? --trust ID, with the id the other device prints")
    }
}

impl Error for MissingDevice {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, Option<String>> {
        Arguments::read("here", words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn options_may_stand_anywhere() {
        let id = DeviceId::from_bytes([7; 32]);
        let arguments = read(&["one", "--trust", &id.to_string(), "two", "--loopback"]).unwrap();
        assert_eq!(arguments.words, ["one", "two"]);
        assert_eq!(arguments.other(), Ok(id));
        assert_eq!(arguments.dir.to_str(), Some("here"));
        assert!(arguments.listen.ip().is_loopback());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(read(&["--help"]).unwrap_err().is_none());
        for (words, named) in [
            (&["--trust"][..], "--trust"),
            (&["--trust", "nobody"], "nobody"),
            (&["--wat"], "--wat"),
        ] {
            let error = read(words).unwrap_err().unwrap();
            assert!(error.contains(named), "{error}");
        }
        assert_eq!(read(&[]).unwrap().other(), Err(MissingDevice));
    }
}

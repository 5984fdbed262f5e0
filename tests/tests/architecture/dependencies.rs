//! Who may depend on whom.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Our packages and which of ours each may depend on, for whatever purpose.
const ALLOWED_EDGES: &[(&str, &[&str])] = &[
    ("softbus-proto", &[]),
    ("softbus-certs", &["softbus-proto"]),
    ("softbus-discovery", &["softbus-proto"]),
    ("softbus-rpc-macros", &[]),
    ("softbus-rpc", &["softbus-proto", "softbus-rpc-macros"]),
    (
        "softbus",
        &[
            "softbus-certs",
            "softbus-discovery",
            "softbus-proto",
            "softbus-rpc",
        ],
    ),
    // Its tests put a program in C into the lab.
    ("softbus-capi", &["softbus", "softbus-tests"]),
    // What it needs of the C API is there when a program has both.
    ("softbus-child-process", &[]),
    // Its tests say what they skip.
    ("softbus-cli", &["softbus", "softbus-tests"]),
    ("softbus-examples", &["softbus"]),
    ("softbus-compose", &["softbus", "softbus-tests"]),
    ("softbus-instructions", &["softbus-proto", "softbus-rpc"]),
    // A peer that never reads speaks the protocol by itself.
    (
        "softbus-proving",
        &["softbus", "softbus-proto", "softbus-tests"],
    ),
    (
        "softbus-simulation",
        &["softbus", "softbus-certs", "softbus-proto", "softbus-rpc"],
    ),
    (
        "softbus-tests",
        &[
            "softbus",
            "softbus-certs",
            "softbus-discovery",
            "softbus-proto",
            "softbus-rpc",
            "softbus-rpc-macros",
        ],
    ),
];

/// Foreign crates that one package alone may use: what it wraps must not leak around it.
const AT_HOME_IN: &[(&str, &str)] = &[
    ("quinn", "softbus"),
    ("tokio-rustls", "softbus"),
    ("mdns-sd", "softbus-discovery"),
    ("rcgen", "softbus-certs"),
];

/// Who may use them too: it drives a peer by hand, for all that are tested and measured with one.
const DRIVEN_BY_HAND_IN: (&str, &[&str]) = ("softbus-tests", &["quinn", "tokio-rustls"]);

/// What makes an RPC know a network.
const NOT_IN_RPC: &[&str] = &["quinn", "rustls", "tokio-rustls", "mdns-sd", "socket2"];
const NOT_IN_TOKIO_OF_RPC: &[&str] = &["net", "full"];

/// The first versions without faults that somebody on the network could use.
const AT_LEAST: &[(&str, [u32; 3])] = &[
    // A stream with gaps takes all memory (RUSTSEC-2026-0185); a panic by transport parameters (2026-0037).
    ("quinn-proto", [0, 11, 15]),
    // A panic by a revocation list (RUSTSEC-2026-0104), names that should not match (2026-0098, 2026-0099).
    ("rustls-webpki", [0, 103, 13]),
    // A panic by a packet (RUSTSEC-2025-0009).
    ("ring", [0, 17, 12]),
    // Time of an operation tells of the secret (RUSTSEC-2024-0344).
    ("curve25519-dalek", [4, 1, 3]),
    // What a peer says reaches the terminal (RUSTSEC-2025-0055).
    ("tracing-subscriber", [0, 3, 20]),
];

/// Crates of a lock file that are older than they may be, or that are not there at all.
pub(super) fn faulty_versions(lock: &str) -> Vec<String> {
    let mut offences = Vec::new();
    for (name, least) in AT_LEAST {
        let package = format!("name = \"{name}\"\nversion = \"");
        let mut found = false;
        for rest in lock.split(&package).skip(1) {
            found = true;
            let version = rest.split('"').next().unwrap_or_default();
            let numbers: Vec<u32> = version.split('.').map_while(|n| n.parse().ok()).collect();
            if numbers.len() != 3 || numbers[..] < least[..] {
                offences.push(format!("{name} {version} has known faults"));
            }
        }
        if !found {
            offences.push(format!("{name} is not used any more: take it off the list"));
        }
    }
    offences
}

#[derive(Debug)]
pub(super) struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    features: Vec<String>,
}

/// Asks cargo, so that what a manifest inherits from the workspace counts too.
pub(super) fn workspace_packages(root: &Path) -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--offline",
            "--no-deps",
            "--format-version",
            "1",
        ])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    packages(&serde_json::from_slice(&output.stdout).unwrap())
}

fn packages(metadata: &Value) -> Vec<Package> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let dependency = |value: &Value| Dependency {
        name: text(&value["name"]),
        features: list(&value["features"]).iter().map(text).collect(),
    };
    let package = |value: &Value| Package {
        name: text(&value["name"]),
        dependencies: list(&value["dependencies"])
            .iter()
            .map(dependency)
            .collect(),
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

pub(super) fn forbidden_edges(packages: &[Package]) -> Vec<String> {
    let ours: Vec<_> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut offences = Vec::new();
    for package in packages {
        let Some((_, allowed)) = ALLOWED_EDGES.iter().find(|(name, _)| *name == package.name)
        else {
            offences.push(format!(
                "{} has no place in the map of allowed edges",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if ours.contains(&name) && !allowed.contains(&name) {
                offences.push(format!("{} depends on {name}", package.name));
            }
        }
    }
    offences
}

pub(super) fn misplaced_foreign_crates(packages: &[Package]) -> Vec<String> {
    let mut offences = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let (driver, theirs) = DRIVEN_BY_HAND_IN;
            if package.name == driver && theirs.contains(&name) {
                continue;
            }
            let home = AT_HOME_IN.iter().find(|(name, _)| *name == dependency.name);
            if let Some((name, home)) = home.filter(|(_, home)| *home != package.name) {
                offences.push(format!(
                    "{} depends on {name}, only {home} may",
                    package.name
                ));
            }
        }
    }
    offences
}

pub(super) fn network_in_rpc(packages: &[Package]) -> Vec<String> {
    let rpc = packages
        .iter()
        .find(|package| package.name == "softbus-rpc")
        .unwrap();
    let mut offences = Vec::new();
    for Dependency { name, features, .. } in &rpc.dependencies {
        if NOT_IN_RPC.contains(&name.as_str()) {
            offences.push(format!("softbus-rpc depends on {name}"));
        }
        for feature in features {
            if name == "tokio" && NOT_IN_TOKIO_OF_RPC.contains(&feature.as_str()) {
                offences.push(format!("softbus-rpc has tokio with feature {feature}"));
            }
        }
    }
    offences
}

mod tests {
    use serde_json::json;

    use super::*;

    /// A name and what belongs to it: a package's dependencies, a dependency's features.
    type Named<'a, T> = (&'a str, &'a [T]);

    fn made_up(packages: &[Named<'_, Named<'_, &str>>]) -> Vec<Package> {
        let packages = packages.iter().map(|(name, dependencies)| {
            let dependencies = dependencies
                .iter()
                .map(|(name, features)| json!({ "name": name, "features": features }));
            json!({ "name": name, "dependencies": dependencies.collect::<Value>() })
        });
        super::packages(&json!({ "packages": packages.collect::<Value>() }))
    }

    #[test]
    fn an_edge_that_is_not_in_the_map_is_found() {
        let packages = made_up(&[
            ("softbus-proto", &[("softbus-rpc", &[]), ("bytes", &[])]),
            ("softbus-rpc", &[("softbus-proto", &[])]),
        ]);
        assert_eq!(
            forbidden_edges(&packages),
            ["softbus-proto depends on softbus-rpc"]
        );
    }

    #[test]
    fn a_package_that_is_not_in_the_map_is_found() {
        let offences = forbidden_edges(&made_up(&[("softbus-stray", &[])]));
        assert_eq!(
            offences,
            ["softbus-stray has no place in the map of allowed edges"]
        );
    }

    #[test]
    fn a_foreign_crate_away_from_home_is_found() {
        let packages = made_up(&[
            ("softbus", &[("quinn", &[])]),
            ("softbus-cli", &[("quinn", &[]), ("rcgen", &[])]),
            ("softbus-proving", &[("quinn", &[])]),
        ]);
        assert_eq!(
            misplaced_foreign_crates(&packages),
            [
                "softbus-cli depends on quinn, only softbus may",
                "softbus-cli depends on rcgen, only softbus-certs may",
                "softbus-proving depends on quinn, only softbus may"
            ]
        );
    }

    #[test]
    fn a_version_with_known_faults_is_found() {
        let lock = |version: &str| {
            let good = AT_LEAST.iter().map(|(name, [a, b, c])| {
                let version = match *name {
                    "quinn-proto" => version.to_owned(),
                    _ => format!("{a}.{b}.{c}"),
                };
                format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n")
            });
            good.collect::<String>()
        };
        for good in ["0.11.15", "0.12.0", "1.0.0"] {
            assert!(faulty_versions(&lock(good)).is_empty(), "{good}");
        }
        for bad in ["0.11.14", "0.10.99", "0.11.15-rc.1"] {
            let said = format!("quinn-proto {bad} has known faults");
            assert_eq!(faulty_versions(&lock(bad)), [said]);
        }
        assert_eq!(faulty_versions("").len(), AT_LEAST.len());
    }

    #[test]
    fn a_network_in_rpc_is_found() {
        let rpc: &[Named<'_, &str>] = &[("rustls", &[]), ("tokio", &["rt", "net"])];
        assert_eq!(
            network_in_rpc(&made_up(&[("softbus-rpc", rpc)])),
            [
                "softbus-rpc depends on rustls",
                "softbus-rpc has tokio with feature net"
            ]
        );
        assert!(network_in_rpc(&made_up(&[("softbus-rpc", &[("tokio", &["rt"])])])).is_empty());
    }
}

//! Takes over what the owner has written into the file of the fleet, and looks again at members as time passes.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use certs::Fleet;
use tokio::sync::watch;

use super::file_watch::{self, Followed};
use crate::{fleet::Members, peers::Peers};

/// How often members are looked at again: their certificates end.
const AGAIN: Duration = Duration::from_secs(60);

/// Follows the file and those it names, and time, until told to stop. What is not right, or gone, changes nothing.
pub(super) async fn follow(
    path: PathBuf,
    members: Arc<Members>,
    peers: Weak<Peers>,
    mut stop: watch::Receiver<bool>,
) {
    let file = FleetFile {
        path,
        members,
        peers: peers.clone(),
    };
    let changes = file_watch::follow(file, stop.clone());
    let time = async {
        loop {
            tokio::time::sleep(AGAIN).await;
            match peers.upgrade() {
                Some(peers) => peers.admit_again(),
                None => return,
            }
        }
    };
    tokio::select! {
        () = changes => {}
        () = time => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}

#[derive(Clone)]
struct FleetFile {
    path: PathBuf,
    members: Arc<Members>,
    peers: Weak<Peers>,
}

impl Followed for FleetFile {
    fn files(&self) -> Vec<PathBuf> {
        let fleet = self.members.fleet();
        let certificates = fleet.iter().flat_map(|fleet| fleet.certificate_files());
        let mut files = vec![self.path.clone()];
        files.extend(certificates.map(ToOwned::to_owned));
        files
    }

    fn reload(&self) -> Result<(), String> {
        let fleet = Fleet::open(&self.path).map_err(|error| error.to_string())?;
        self.members.set_fleet(fleet);
        if let Some(peers) = self.peers.upgrade() {
            peers.admit_again();
        }
        Ok(())
    }

    fn failed(&self, error: &str) {
        tracing::error!(%error, "fleet not read, members stay as they were");
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::SystemTime};

    use certs::{CertificateAuthority, Identity};
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    use super::{super::file_watch::INTERVAL, *};

    const PREFIX: &str = "spiffe://example.org/prod/";
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// What a new CA shows, and the certificate of a member of its.
    fn authority(directory: &Path) -> (String, CertificateDer<'static>) {
        let mut ca = CertificateAuthority::init(directory.join("ca"), PREFIX).unwrap();
        Identity::open(directory.join("member")).unwrap();
        let request = std::fs::read_to_string(directory.join("member/certificate.pem")).unwrap();
        let (_, issued) = ca.issue(&request, "kiosk/7", DAY).unwrap();
        let member = CertificateDer::from_pem_slice(issued.as_bytes()).unwrap();
        (ca.certificate().unwrap(), member)
    }

    #[tokio::test(start_paused = true)]
    async fn another_certificate_of_a_ca_is_taken_over_though_the_file_that_names_it_is_the_same() {
        let temps = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [(first, _), (second, member)] = [0, 1].map(|ca| authority(temps[ca].path()));
        let pem = temps[0].path().join("prod.pem");
        std::fs::write(&pem, first).unwrap();
        let file = temps[0].path().join("fleet.toml");
        let list = format!(
            "version = 1\n[[ca]]\nname = \"prod\"\ncertificate = \"prod.pem\"\nuri_prefix = \"{PREFIX}\"\n"
        );
        std::fs::write(&file, list).unwrap();
        let fleet = Fleet::open(&file).unwrap();
        let members = Arc::new(Members::new(Some(fleet)));
        let vouched_for = || {
            let fleet = members.fleet().unwrap();
            fleet.member(&member, SystemTime::now()).is_ok()
        };

        let (_stop, stopped) = watch::channel(false);
        tokio::spawn(follow(file, Arc::clone(&members), Weak::new(), stopped));
        // The clock stands still while files are read, so this is exactly some looks.
        tokio::time::sleep(3 * INTERVAL).await;
        assert!(!vouched_for());
        std::fs::write(&pem, second).unwrap();
        tokio::time::sleep(3 * INTERVAL).await;
        assert!(vouched_for());
    }
}

//! `softbus ca`, and what a device does with what it issues.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use softbus::{
    Identity,
    certs::{AuthorityError, CertificateAuthority, Issued},
};

use super::Context;
use crate::{
    args::Ca,
    failure::{Failure, Kind},
    output::{Style, Table},
};

const DAY: u64 = 24 * 60 * 60;

pub(crate) fn run(context: &Context<'_>, action: Ca) -> Result<(), Failure> {
    match action {
        Ca::Init { ca, prefix } => init(context, &ca, &prefix),
        Ca::Issue {
            ca,
            certificate,
            path,
            days,
        } => issue(context, &ca, &certificate, &path, days),
        Ca::List { ca } => list(context, &ca),
    }
}

fn init(context: &Context<'_>, directory: &Path, prefix: &str) -> Result<(), Failure> {
    let ca = CertificateAuthority::init(directory, prefix).map_err(|error| failure(&error))?;
    let pem = ca.certificate().map_err(|error| failure(&error))?;
    let object = json!({ "ca": directory, "uri_prefix": prefix, "certificate": pem });
    context.output.note(&format!(
        "list this certificate in the fleet.toml of each device, with uri_prefix = {prefix:?}; keep {} away from them",
        directory.display()
    ));
    context.output.either(&object, || pem.trim_end().to_owned())
}

fn issue(
    context: &Context<'_>,
    directory: &Path,
    certificate: &Path,
    path: &str,
    days: u64,
) -> Result<(), Failure> {
    let mut ca = CertificateAuthority::open(directory).map_err(|error| failure(&error))?;
    let request = read(certificate)?;
    let time = Duration::from_secs(days.saturating_mul(DAY));
    let issued = ca.issue(&request, path, time);
    let (issued, pem) = issued.map_err(|error| failure(&error))?;
    let Issued {
        device, not_after, ..
    } = &issued;
    let object = json!({
        "device": device, "path": path, "not_after": not_after, "certificate": pem,
    });
    context
        .output
        .note(&format!("for {device}, as {path}, for {days} days"));
    context.output.either(&object, || pem.trim_end().to_owned())
}

fn list(context: &Context<'_>, directory: &Path) -> Result<(), Failure> {
    let ca = CertificateAuthority::open(directory).map_err(|error| failure(&error))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let mut table = Table::new(["PATH", "ID", "STATE"]);
    for issued in ca.issued() {
        let left = issued.not_after.saturating_sub(now);
        let object = json!({
            "device": issued.device, "path": issued.path, "not_after": issued.not_after,
            "expired": left == 0,
        });
        if context.output.is_json() {
            context.output.object(&object)?;
        }
        let state = match left {
            0 => ("expired".to_owned(), Style::Bad),
            left => (format!("{} h left", left.div_ceil(3600)), Style::Good),
        };
        table.row([
            (issued.path.clone(), Style::Bold),
            (issued.device.clone(), Style::Plain),
            state,
        ]);
    }
    if context.output.is_json() {
        return Ok(());
    }
    table.print(context.output)
}

/// `softbus identity certificate`
pub(crate) fn show(context: &Context<'_>) -> Result<(), Failure> {
    let pem = read(&context.directory.join("certificate.pem"))?;
    let object = json!({ "certificate": pem });
    context.output.either(&object, || pem.trim_end().to_owned())
}

/// `softbus identity install`
pub(crate) fn install(context: &Context<'_>, file: &Path) -> Result<(), Failure> {
    let pem = read(file)?;
    Identity::install_certificate(&context.directory, &pem)
        .map_err(|error| crate::node::identity_failure(context, &error))?;
    let object = json!({ "installed": true });
    context.output.either(&object, || {
        "installed; shown from the next start on".to_owned()
    })
}

/// Where the fleet of a directory is listed, if it is.
pub(crate) fn fleet_in(directory: &Path) -> Option<PathBuf> {
    let file = directory.join("fleet.toml");
    file.exists().then_some(file)
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error| {
        let message = format!("cannot read {}: {error}", path.display());
        Failure::failed(message)
    };
    fs::read_to_string(path).map_err(failed)
}

fn failure(error: &AuthorityError) -> Failure {
    let kind = match error {
        AuthorityError::Absent { .. } => Kind::NotFound,
        AuthorityError::BadPrefix(_)
        | AuthorityError::BadPath(_)
        | AuthorityError::BadTime { .. }
        | AuthorityError::BadRequest(_) => Kind::Usage,
        _ => Kind::Failed,
    };
    Failure::new(kind, error.to_string())
}

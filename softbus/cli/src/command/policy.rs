//! `softbus policy`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;
use softbus::{
    ServiceId,
    certs::{Fleet, MemberName, PolicyStore, Principal, ReadPolicyError},
};

use super::{Context, ca::fleet_in};
use crate::{
    args::Policy,
    device_name,
    failure::{Failure, Kind},
};

pub(crate) fn run(context: &Context<'_>, action: Policy) -> Result<(), Failure> {
    match action {
        Policy::Check { file } => check(context, file),
        Policy::Explain {
            device,
            service,
            method,
            member,
            file,
        } => explain(
            context,
            file,
            &Question {
                device: &device,
                service,
                method,
                member: member.as_deref(),
            },
        ),
    }
}

/// Where the policy of a directory is.
pub(crate) fn file_in(directory: &Path) -> PathBuf {
    directory.join("policy.toml")
}

fn check(context: &Context<'_>, file: Option<PathBuf>) -> Result<(), Failure> {
    let path = file.unwrap_or_else(|| file_in(&context.directory));
    let policy = read(&path)?;
    let (rules, denials) = (policy.rule_count(), policy.denial_count());
    let object = json!({ "file": path, "rules": rules, "denials": denials });
    context.output.either(&object, || {
        format!(
            "{}: good, rules: {rules}, denials: {denials}",
            path.display()
        )
    })
}

struct Question<'a> {
    device: &'a str,
    service: ServiceId,
    method: u32,
    member: Option<&'a str>,
}

fn explain(
    context: &Context<'_>,
    file: Option<PathBuf>,
    question: &Question<'_>,
) -> Result<(), Failure> {
    let path = file.unwrap_or_else(|| file_in(&context.directory));
    let policy = read(&path)?;
    let trust = context.trust()?;
    let device = device_name::resolve(question.device, &trust.entries())?;
    let mut who = Principal::device(device);
    who.member = question.member.map(member).transpose()?;
    let explanation = policy.explain(&who, question.service, question.method);
    // A member of a fleet need not be in the store, but may be blocked there.
    let blocked = trust.get(&device).is_some_and(|entry| entry.blocked);
    let is_member = match &who.member {
        Some(member) => fleet(&context.directory)?.is_some_and(|fleet| fleet.lets_in(member)),
        None => false,
    };
    let trusted = !blocked && (is_member || trust.is_trusted(&device));
    let allowed = trusted && explanation.allowed();
    let rules = explanation.rules().iter();
    let rules: Vec<_> = rules
        .map(|rule| json!({ "id": rule.id, "line": rule.line }))
        .collect();
    let reason = match (trusted, blocked) {
        (true, _) => explanation.to_string(),
        (false, true) => "denied: the device is blocked, whatever the policy says".to_owned(),
        (false, false) if who.member.is_some() => format!(
            "denied: neither is the device trusted nor does fleet.toml let such a member in; if it were so: {explanation}"
        ),
        (false, false) => format!("denied: the device is not trusted; if it were: {explanation}"),
    };
    let object = json!({
        "device": device.to_string(), "service": question.service.get(), "method": question.method,
        "allowed": allowed, "trusted": trusted, "reason": reason, "rules": rules,
    });
    context.output.either(&object, || reason.clone())
}

fn fleet(directory: &Path) -> Result<Option<Fleet>, Failure> {
    let opened = fleet_in(directory).map(Fleet::open).transpose();
    opened.map_err(|error| Failure::failed(error.to_string()))
}

fn member(text: &str) -> Result<MemberName, Failure> {
    let (ca, path) = text.split_once('/').unwrap_or((text, ""));
    MemberName::new(ca, path).map_err(|error| {
        Failure::new(Kind::Usage, format!("--member {error}"))
            .hint("it is the CA's name here, a slash and the path in the certificate: prod/kiosk/7")
    })
}

fn read(path: &Path) -> Result<Arc<softbus::Policy>, Failure> {
    let nothing = || Failure::new(Kind::NotFound, format!("no policy in {}", path.display()));
    match PolicyStore::open(path) {
        Ok(store) => store.current().ok_or_else(nothing),
        Err(ReadPolicyError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Err(nothing().hint("without one services decide alone who may call them"))
        }
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

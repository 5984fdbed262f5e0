//! `softbus trust`

use std::path::Path;

use serde_json::json;
use softbus::{
    DeviceId, Identity,
    certs::{ChangeTrustError, ImportSummary, ImportTrustError, escape_untrusted},
};

use super::{Context, local_name};
use crate::{
    args::Trust,
    device_name,
    failure::{Failure, Kind},
    output::{Style, Table},
};

pub(crate) fn run(context: &Context<'_>, action: Trust) -> Result<(), Failure> {
    match action {
        Trust::Add { id, name } => add(context, &id, name.as_deref()),
        Trust::List { long } => list(context, long),
        Trust::Import { file } => import(context, &file),
        Trust::Block { device } => block(context, &device),
        Trust::Remove { device } => remove(context, &device),
    }
}

fn add(context: &Context<'_>, id: &str, name: Option<&str>) -> Result<(), Failure> {
    let device: DeviceId = id.parse().map_err(|error| {
        let message = format!("{} is no device id: {error}", escape_untrusted(id, 80));
        Failure::new(Kind::Usage, message)
            .hint("give the full id, as `softbus identity show` prints it on the other machine")
    })?;
    if Identity::device_id_of(&context.directory).ok().flatten() == Some(device) {
        return Err(
            Failure::new(Kind::Usage, "this is the id of this device itself")
                .hint("give the id that `softbus identity show` prints on the other machine"),
        );
    }
    let trust = context.trust()?;
    let known = trust.is_trusted(&device);
    // Without a new name it keeps the one it has.
    let before = local_name(Some(&trust), &device);
    let name = name.or(before.as_deref()).unwrap_or_default();
    trust
        .trust(device, name)
        .map_err(|error| change_failure(context, &error))?;
    let object = json!({ "device": device.to_string(), "name": name, "added": !known });
    context.output.either(&object, || {
        let verb = if known { "still trusted" } else { "trusted" };
        format!("{verb}: {device}  {}", escape_untrusted(name, 64))
            .trim_end()
            .to_owned()
    })
}

fn list(context: &Context<'_>, long: bool) -> Result<(), Failure> {
    let entries = context.trust()?.entries();
    let mut table = Table::new(["ID", "NAME", "STATE"]);
    for entry in &entries {
        let state = if entry.blocked {
            ("blocked", Style::Bad)
        } else {
            ("trusted", Style::Good)
        };
        let object = json!({
            "device": entry.device.to_string(), "name": entry.name, "trusted": !entry.blocked,
            "blocked": entry.blocked, "added_at": entry.added_at,
            "added_via": serde_json::to_value(entry.added_via).unwrap_or_default(),
        });
        if context.output.is_json() {
            context.output.object(&object)?;
        }
        let id = if long {
            entry.device.to_string()
        } else {
            entry.device.short().to_string()
        };
        let name = escape_untrusted(&entry.name, 64);
        table.row([
            (id, Style::Plain),
            (name, Style::Bold),
            (state.0.to_owned(), state.1),
        ]);
    }
    if entries.is_empty() {
        context.output.note(&format!(
            "no device is trusted; {} trust add ID adds one",
            context.softbus
        ));
    } else if !context.output.is_json() {
        table.print(context.output)?;
    }
    Ok(())
}

fn import(context: &Context<'_>, file: &Path) -> Result<(), Failure> {
    let summary = context
        .trust()?
        .import(file)
        .map_err(|error| match &error {
            ImportTrustError::Change(error) => change_failure(context, error),
            ImportTrustError::Read { .. } => Failure::failed(error.to_string()),
            _ => Failure::new(Kind::Usage, format!("{}: {error}", file.display())),
        })?;
    let ImportSummary {
        added,
        known,
        blocked,
        ..
    } = summary;
    let object = json!({ "added": added, "known": known, "blocked": blocked });
    context.output.either(&object, || {
        format!("added {added}, trusted already {known}, still blocked {blocked}")
    })
}

fn block(context: &Context<'_>, given: &str) -> Result<(), Failure> {
    let trust = context.trust()?;
    let device = device_name::resolve(given, &trust.entries())?;
    let name = local_name(Some(&trust), &device);
    trust
        .block(&device)
        .map_err(|error| change_failure(context, &error))?;
    let object = json!({ "device": device.to_string(), "name": name, "blocked": true });
    context
        .output
        .either(&object, || format!("blocked: {device}"))
}

fn remove(context: &Context<'_>, given: &str) -> Result<(), Failure> {
    let trust = context.trust()?;
    let device = device_name::resolve(given, &trust.entries())?;
    let name = local_name(Some(&trust), &device);
    if !trust
        .forget(&device)
        .map_err(|error| change_failure(context, &error))?
    {
        return Err(Failure::new(
            Kind::NotFound,
            format!("{device} is not in the trust store"),
        )
        .hint(format!("see who is: {} trust list", context.softbus)));
    }
    let object = json!({ "device": device.to_string(), "name": name, "removed": true });
    context
        .output
        .either(&object, || format!("removed: {device}"))
}

fn change_failure(context: &Context<'_>, error: &ChangeTrustError) -> Failure {
    let failure = Failure::failed(error.to_string());
    match error {
        ChangeTrustError::Blocked { device } => failure.hint(format!(
            "to lift that: {} trust remove {device}",
            context.softbus
        )),
        ChangeTrustError::Full => failure.hint(format!(
            "remove one first: {} trust remove ID",
            context.softbus
        )),
        ChangeTrustError::InvalidName => Failure::new(Kind::Usage, error.to_string()),
        _ => failure,
    }
}

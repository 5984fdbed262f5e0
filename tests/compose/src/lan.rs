//! A network of containers, and what may happen to each of them.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{
    ComposeError,
    command::{self, Ended},
};

/// How long starting or stopping all containers may take.
const ALL: Duration = Duration::from_secs(120);
/// How long one command may take.
const ONE: Duration = Duration::from_secs(60);

/// The containers of a compose file. When this is dropped they are removed, with their network.
#[derive(Debug)]
pub struct Lan {
    file: PathBuf,
    project: String,
    environment: Vec<(String, String)>,
    /// `docker-compose`, or the plugin of newer versions: `docker compose`.
    compose: &'static [&'static str],
}

/// What the `softbus` command answered.
#[derive(Debug)]
pub struct Answer {
    /// Its exit code: `softbus --help` lists them.
    pub code: Option<i32>,
    /// The objects it printed.
    pub objects: Vec<Value>,
    /// The error it printed, or null.
    pub error: Value,
}

/// One more network, which is removed when this is dropped. Whoever is on it has to leave before.
#[derive(Debug)]
pub struct Another {
    name: String,
}

impl Another {
    /// A network of this name.
    ///
    /// # Errors
    /// Docker fails.
    pub fn new(name: String) -> Result<Self, ComposeError> {
        command::output(docker(&["network", "create", &name]), ONE)?;
        Ok(Self { name })
    }

    /// What docker knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Another {
    fn drop(&mut self) {
        if let Err(error) = command::output(docker(&["network", "rm", &self.name]), ONE) {
            eprintln!("the network {} is left: {error}", self.name);
        }
    }
}

/// One container.
#[derive(Clone, Debug)]
pub struct Container {
    /// By which docker knows it: names differ between versions of compose.
    id: String,
    network: String,
}

/// Where a container that runs is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its first process, as the machine numbers it.
    pub process: u32,
    /// The hardware address of its interface.
    pub hardware: String,
    /// The address that Docker gave it.
    pub address: Ipv4Addr,
    /// How many bits of that are the network's.
    pub prefix: u8,
}

impl Inside {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let process = words.next()?.parse().ok().filter(|process| *process > 0)?;
        let hardware = words.next()?.to_owned();
        let (address, prefix) = words.next()?.split_once('/')?;
        Some(Self {
            process,
            hardware,
            address: address.parse().ok()?,
            prefix: prefix.parse().ok()?,
        })
    }
}

impl Lan {
    /// Starts all services of `file`, as a project of this name, with these variables for the file.
    ///
    /// # Errors
    /// Compose is not installed, or fails.
    pub fn up(
        file: &Path,
        project: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self, ComposeError> {
        Self::with(file, project, environment, "--detach")
    }

    /// The same without starting them: [`Container::start`] starts each when it is its turn.
    ///
    /// # Errors
    /// Compose is not installed, or fails.
    pub fn create(
        file: &Path,
        project: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self, ComposeError> {
        Self::with(file, project, environment, "--no-start")
    }

    fn with(
        file: &Path,
        project: &str,
        environment: &[(&str, &str)],
        how: &str,
    ) -> Result<Self, ComposeError> {
        let compose: &[&str] = match command::output(docker(&["compose", "version"]), ONE) {
            Ok(_) => &["docker", "compose"],
            Err(_) => &["docker-compose"],
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let lan = Self {
            file: file.to_owned(),
            project: project.to_owned(),
            environment: environment.iter().map(owned).collect(),
            compose,
        };
        lan.compose(&["up", how, "--no-build"], ALL)?;
        Ok(lan)
    }

    /// The container of a service, whether it runs or not.
    ///
    /// # Errors
    /// There is none.
    pub fn container(&self, service: &str) -> Result<Container, ComposeError> {
        let id = self.compose(&["ps", "--all", "--quiet", service], ONE)?;
        Ok(Container {
            id: id.trim().to_owned(),
            network: format!("{}_lan", self.project),
        })
    }

    /// What all containers have printed.
    ///
    /// # Errors
    /// Compose fails.
    pub fn logs(&self) -> Result<String, ComposeError> {
        self.compose(&["logs", "--no-color"], ONE)
    }

    fn compose(&self, arguments: &[&str], within: Duration) -> Result<String, ComposeError> {
        let mut command = Command::new(self.compose[0]);
        command
            .args(&self.compose[1..])
            .arg("--file")
            .arg(&self.file)
            .args(["--project-name", &self.project])
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command::output(command, within)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let down = ["down", "--volumes", "--timeout", "5"];
        if let Err(error) = self.compose(&down, ALL) {
            eprintln!("containers of {} are left: {error}", self.project);
        }
    }
}

impl Container {
    /// Runs the `softbus` command in the container, as a process of the device there.
    ///
    /// # Errors
    /// The container does not run.
    pub fn softbus(&self, arguments: &[&str]) -> Result<Answer, ComposeError> {
        let softbus = ["/bin/softbus", "--dir", "/data", "--json", "--local"];
        let words = [&["exec", &self.id][..], &softbus, arguments].concat();
        let Ended {
            code,
            stdout,
            stderr,
        } = command::run(docker(&words), ONE)?;
        // Before the error there may be lines of the log.
        let last = stderr.lines().last().map(serde_json::from_str);
        let lines = stdout.lines().map(serde_json::from_str);
        Ok(Answer {
            code,
            objects: lines.collect::<Result<_, _>>().unwrap_or_default(),
            error: last.and_then(Result::ok).unwrap_or(Value::String(stderr)),
        })
    }

    /// Ends it as a loss of power does.
    ///
    /// # Errors
    /// Docker fails; so with all below.
    pub fn kill(&self) -> Result<(), ComposeError> {
        self.docker(&["kill"])
    }

    /// Has it end.
    pub fn stop(&self) -> Result<(), ComposeError> {
        self.docker(&["stop", "--time", "5"])
    }

    /// Starts it again.
    pub fn start(&self) -> Result<(), ComposeError> {
        self.docker(&["start"])
    }

    /// Has it stand still, as a device that sleeps.
    pub fn pause(&self) -> Result<(), ComposeError> {
        self.docker(&["pause"])
    }

    /// Has it go on.
    pub fn unpause(&self) -> Result<(), ComposeError> {
        self.docker(&["unpause"])
    }

    /// Takes it off the network.
    pub fn disconnect(&self) -> Result<(), ComposeError> {
        self.docker(&["network", "disconnect", &self.network])
    }

    /// Puts it on the network again, with another interface and maybe another address.
    pub fn connect(&self) -> Result<(), ComposeError> {
        self.docker(&["network", "connect", &self.network])
    }

    /// Puts it on another network of docker as well. Returns the hardware address of its interface there.
    pub fn join(&self, network: &str) -> Result<String, ComposeError> {
        self.docker(&["network", "connect", network])?;
        let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").MacAddress}}}}");
        let words = ["inspect", "--format", &format, &self.id];
        Ok(command::output(docker(&words), ONE)?.trim().to_owned())
    }

    /// Takes it off that again.
    pub fn part(&self, network: &str) -> Result<(), ComposeError> {
        self.docker(&["network", "disconnect", network])
    }

    /// Its process and its place on the network, as they are now.
    ///
    /// # Errors
    /// Docker fails, or the container does not run.
    pub fn inside(&self) -> Result<Inside, ComposeError> {
        const FORMAT: &str = "{{.State.Pid}}{{range .NetworkSettings.Networks}} {{.MacAddress}} {{.IPAddress}}/{{.IPPrefixLen}}{{end}}";
        let words = ["inspect", "--format", FORMAT, &self.id];
        let found = command::output(docker(&words), ONE)?;
        let inside = Inside::parse(found.trim());
        inside.ok_or_else(|| ComposeError::NotRunning {
            container: self.id.clone(),
            found,
        })
    }

    fn docker(&self, words: &[&str]) -> Result<(), ComposeError> {
        command::output(docker(&[words, &[&self.id]].concat()), ONE).map(drop)
    }
}

impl Answer {
    /// The one object it printed.
    pub fn object(&self) -> &Value {
        self.objects.first().unwrap_or(&Value::Null)
    }
}

fn docker(words: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(words);
    command
}

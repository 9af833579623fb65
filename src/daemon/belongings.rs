//! What a daemon has in the file system, and another one that takes its place
//! goes on with: open already, so that this needs no rights.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::Receiver;

use super::DaemonError;
use crate::cli::Options;
use crate::control::{Control, Request};
use crate::process::PidFile;
use crate::takeover::message::Belonging;

/// Control socket and pid file. Their files are removed when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    pub(super) control: Option<Control>,
    pub(super) pid_file: Option<PidFile>,
}

/// Where they are to be.
#[derive(Debug)]
pub(super) struct Places {
    control: Option<PathBuf>,
    pid_file: Option<PathBuf>,
}

impl Places {
    pub(super) fn of(options: &Options) -> Self {
        Self { control: options.control.path(), pid_file: options.pid_file.clone() }
    }

    /// Whether one of them is to be this one, whose descriptor another process has.
    fn want(&self, belonging: &Belonging) -> bool {
        let (wanted, path) = match belonging {
            Belonging::Control { path, .. } => (&self.control, path),
            Belonging::PidFile { path } => (&self.pid_file, path),
        };
        wanted.as_ref() == Some(path)
    }
}

impl Belongings {
    /// Makes those that the process before, if there is one, has not.
    ///
    /// # Errors
    /// The one that cannot be had.
    pub(super) fn make(options: &Options, others: &[Belonging]) -> Result<Self, DaemonError> {
        let places = Places::of(options);
        let inherited = |is: fn(&Belonging) -> bool| others.iter().any(|other| is(other) && places.want(other));
        let inherits_control = inherited(|other| matches!(other, Belonging::Control { .. }));
        let inherits_pid_file = inherited(|other| matches!(other, Belonging::PidFile { .. }));
        Ok(Self {
            pid_file: options.pid_file.as_deref().filter(|_| !inherits_pid_file).map(PidFile::create).transpose()?,
            control: if inherits_control { None } else { Control::open(&options.control)? },
        })
    }

    /// What there is to hand over.
    pub(super) fn list(&self) -> Vec<(Belonging, BorrowedFd<'_>)> {
        let control = self.control.iter().map(|control| (of_control(control), control.as_fd()));
        let pid_file = self.pid_file.iter().map(|file| (of_pid_file(file), file.as_fd()));
        control.chain(pid_file).collect()
    }

    /// Begins to take in who asks at the control socket; `None`: nobody can.
    ///
    /// # Errors
    /// Where the system does not let the socket be watched.
    pub(super) fn serve(&mut self) -> Result<Option<Receiver<Request>>, DaemonError> {
        let requests = self.control.as_mut().map(Control::serve).transpose();
        requests.map_err(DaemonError::system("watch the control socket"))
    }

    /// Takes one of another process, if it is wanted; else it is closed.
    pub(super) fn adopt(&mut self, places: &Places, belonging: &Belonging, descriptor: OwnedFd) -> io::Result<()> {
        match belonging {
            _ if !places.want(belonging) => {}
            Belonging::Control { path, id } => {
                self.control = Some(Control::adopt(descriptor, path, *id)?);
            }
            Belonging::PidFile { path } => self.pid_file = Some(PidFile::adopt(descriptor, path)),
        }
        Ok(())
    }

    /// Leaves all files to the process that they came from.
    pub(super) fn disown_all(&mut self) {
        if let Some(control) = self.control.take() {
            control.disown();
        }
        if let Some(file) = self.pid_file.take() {
            file.disown();
        }
    }

    /// Leaves the files to the process that has kept these.
    pub(super) fn disown(&mut self, kept: &[Belonging]) {
        if let Some(control) = self.control.take_if(|control| kept.contains(&of_control(control))) {
            control.disown();
        }
        if let Some(file) = self.pid_file.take_if(|file| kept.contains(&of_pid_file(file))) {
            file.disown();
        }
    }
}

fn of_control(control: &Control) -> Belonging {
    Belonging::Control { path: control.path().to_owned(), id: control.file_id() }
}

fn of_pid_file(file: &PidFile) -> Belonging {
    Belonging::PidFile { path: Path::to_owned(file.path()) }
}

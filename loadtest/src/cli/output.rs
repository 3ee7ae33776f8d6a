//! Where results go.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::made::Made;

/// What can be typed about them.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What is written")]
pub(super) struct Outputs {
    /// Everything, as JSON; `-` is standard output
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// A page that needs nothing beside it, with charts
    #[arg(long, value_name = "FILE|-")]
    html: Option<PathBuf>,
    /// A summary for a pull request
    #[arg(long, value_name = "FILE|-")]
    markdown: Option<PathBuf>,
    /// Into this folder a log of HdrHistogram's for each run, written while it goes on
    #[arg(long, value_name = "FOLDER")]
    hdr: Option<PathBuf>,
    /// Serve /metrics for Prometheus here while it goes on; a port alone is one of this machine's loopback
    #[arg(long, value_name = "[IP:]PORT", value_parser = listener)]
    metrics: Option<SocketAddr>,
    /// Nothing on standard output and error but what is wrong
    #[arg(long)]
    quiet: bool,
}

fn listener(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let address = port.ok().or_else(|| text.parse().ok());
    // Another than an address would have to be looked up, and may be several.
    address.ok_or_else(|| {
        let name = text.rsplit_once(':').map_or(text, |(name, _)| name);
        match name.parse::<IpAddr>() {
            Ok(_) => format!("{text:?} lacks its port; write it as 127.0.0.1:9095"),
            Err(_) => format!("{text:?} is no address; write it as 9095 or 127.0.0.1:9095"),
        }
    })
}

impl Outputs {
    /// Whether nobody wants to see how it goes.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The folder for logs of HdrHistogram's.
    pub(super) fn hdr(&self) -> Option<&Path> {
        self.hdr.as_deref()
    }

    /// Where Prometheus is to be answered.
    pub(super) fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.json, &self.html, &self.markdown].into_iter().flatten()
    }

    /// Makes sure that all of it can be written.
    ///
    /// # Errors
    /// What cannot.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for path in self.files() {
            Place::of(path)
                .check()
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let to_stdout = self.files().filter(|path| is_stdout(path)).count();
        if to_stdout > 1 {
            bail!("only one of --json, --html and --markdown can go to standard output");
        }
        if let Some(folder) = &self.hdr {
            let made = fs::create_dir_all(folder).and_then(|()| Place::Beside(folder.join("log")).check());
            made.with_context(|| format!("cannot write into {}", folder.display()))?;
        }
        Ok(())
    }

    /// Writes what was asked for. What cannot be written keeps nothing else from being.
    ///
    /// # Errors
    /// The first that could not be written.
    pub(super) fn write(&self, made: &Made) -> anyhow::Result<()> {
        if !self.quiet {
            let text = made.text();
            // Whoever reads it may have gone; the files and the exit code tell all the same.
            let _ = match self.files().any(|path| is_stdout(path)) {
                true => std::io::stderr().write_all(text.as_bytes()),
                false => std::io::stdout().write_all(text.as_bytes()),
            };
        }
        let mut written = Ok(());
        if let Some(path) = &self.html {
            written = written.and(write(path, &made.html()));
        }
        if let Some(path) = &self.markdown {
            written = written.and(write(path, &made.markdown()));
        }
        if let Some(path) = &self.json {
            let text = made.json().context("the results").map(|text| text + "\n");
            written = written.and(text.and_then(|text| write(path, &text)));
        }
        let error = made.runs().into_iter().find_map(|run| run.log_error.clone());
        written.and(error.map_or(Ok(()), |error| Err(anyhow::Error::msg(error))))
    }
}

fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        .iter()
        .any(|stdout| path == Path::new(stdout))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = Place::of(path).write(text);
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// What a path stands for.
#[derive(Debug)]
enum Place {
    Stdout,
    /// A pipe, a terminal or a device: nothing can take its place.
    Stream(PathBuf),
    /// A file that is replaced, by way of one beside it. What a link points to, if it is one.
    Beside(PathBuf),
}

impl Place {
    fn of(path: &Path) -> Self {
        if is_stdout(path) {
            return Self::Stdout;
        }
        let is_stream = fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir());
        // An open file's name there is a link to it, and writing to it is what is meant.
        if is_stream || path.starts_with("/dev/fd") || path == Path::new("/dev/stderr") {
            return Self::Stream(path.to_owned());
        }
        Self::Beside(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
    }

    /// A name that nobody else has, in the same folder.
    fn part(path: &Path) -> PathBuf {
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}-{:08x}.part", std::process::id(), rand::random::<u32>()));
        part.into()
    }

    /// Whether it can be written. Nothing is left of the question: nobody should take an empty file for a result.
    fn check(&self) -> std::io::Result<()> {
        match self {
            Self::Stdout => Ok(()),
            // Opening a pipe would wait for its reader.
            Self::Stream(path) => rustix::fs::access(path, rustix::fs::Access::WRITE_OK).map_err(Into::into),
            Self::Beside(path) => {
                if path.is_dir() {
                    return Err(std::io::ErrorKind::IsADirectory.into());
                }
                if path.exists() {
                    OpenOptions::new().append(true).open(path)?;
                }
                let part = Self::part(path);
                OpenOptions::new().create_new(true).write(true).open(&part)?;
                fs::remove_file(part)
            }
        }
    }

    /// Whole or not at all: a full disk leaves what was there before.
    fn write(&self, text: &str) -> std::io::Result<()> {
        match self {
            Self::Stdout => std::io::stdout().write_all(text.as_bytes()),
            Self::Stream(path) => OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes()),
            Self::Beside(path) => {
                let part = Self::part(path);
                let opened = OpenOptions::new().create_new(true).write(true).open(&part);
                let written = opened
                    .and_then(|mut file| file.write_all(text.as_bytes()))
                    .and_then(|()| fs::rename(&part, path));
                if written.is_err() {
                    let _ = fs::remove_file(&part);
                }
                written
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Results;
    use std::os::unix::fs::symlink;

    fn outputs(json: &Path) -> Outputs {
        Outputs {
            json: Some(json.to_owned()),
            quiet: true,
            ..Outputs::default()
        }
    }

    /// An empty folder of this test's own.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("postern-loadtest-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_cannot_be_written_is_told_before_the_run_and_nothing_is_left_of_the_question() {
        let folder = folder("check");
        for (path, why) in [(Path::new("/nowhere/x.json"), "No such file"), (&folder, "directory")] {
            let error = format!("{:#}", outputs(path).check().unwrap_err());
            let begins = format!("cannot write {}: ", path.display());
            assert!(error.starts_with(&begins) && error.contains(why), "{error}");
        }
        let blocked = Outputs {
            hdr: Some("/dev/null/logs".into()),
            ..Outputs::default()
        };
        let error = format!("{:#}", blocked.check().unwrap_err());
        assert!(error.starts_with("cannot write into /dev/null/logs: "), "{error}");
        let path = folder.join("out.json");
        outputs(&path).check().unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        outputs(&path).write(&Made::Run(Box::default())).unwrap();
        let read: Results = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(read, Results::default());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_after_all_is_told_by_its_name() {
        let error = write(Path::new("/dev/full/x"), "text").unwrap_err();
        assert!(
            format!("{error:#}").starts_with("cannot write /dev/full/x"),
            "{error:#}"
        );
        assert!(
            write(Path::new("/dev/full"), "text").is_err(),
            "a device is written to and not replaced"
        );
        assert!(fs::metadata("/dev/full").is_ok_and(|about| !about.is_file()));
    }

    #[test]
    fn a_link_stays_a_link_and_what_it_points_to_is_replaced() {
        let folder = folder("link");
        let (file, link) = (folder.join("file"), folder.join("link"));
        fs::write(&file, "before").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, "after").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_one_report_goes_to_standard_output() {
        let both = Outputs {
            json: Some("-".into()),
            html: Some("/dev/stdout".into()),
            ..Outputs::default()
        };
        let error = both.check().unwrap_err();
        assert!(error.to_string().starts_with("only one of --json"), "{error}");
        outputs(Path::new("-")).check().unwrap();
    }

    #[test]
    fn a_port_alone_is_one_of_the_loopbacks() {
        assert_eq!(listener("9095").unwrap().to_string(), "127.0.0.1:9095");
        assert_eq!(listener("0.0.0.0:9095").unwrap().to_string(), "0.0.0.0:9095");
        assert!(listener("127.0.0.1").unwrap_err().contains("lacks its port"));
        assert!(listener("localhost:9095").unwrap_err().contains("is no address"));
    }
}

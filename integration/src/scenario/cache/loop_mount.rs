//! A file system of its own, in a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::Advice;
use rustix::ioctl::{Setter, ioctl, opcode};
use tempfile::TempDir;

/// Stops an ext4 without writing out its journal (`EXT4_IOC_SHUTDOWN`).
const SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
const NO_LOG_FLUSH: u32 = 2;

/// An ext4 in a file; unmounted when it is dropped.
#[derive(Debug)]
pub struct LoopMount {
    /// Where it is mounted.
    folder: PathBuf,
    /// The file that it is in.
    image: PathBuf,
    is_mounted: bool,
    _place: TempDir,
}

/// Why there is none.
#[derive(Debug)]
pub struct NoMount(String);

impl LoopMount {
    /// Of this size (`256M`); what is not written takes no room. `options` are those of `mkfs.ext4`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(size: &str, options: &[&str]) -> Result<Self, NoMount> {
        let place = TempDir::new().map_err(|error| NoMount(error.to_string()))?;
        let (folder, image) = (place.path().join("mounted"), place.path().join("image"));
        std::fs::create_dir(&folder).map_err(|error| NoMount(error.to_string()))?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).args(options).arg(&image).arg(size))?;
        Ok(Self { folder, image, is_mounted: false, _place: place })
    }

    /// Mounts it, as a machine does when it starts: what the journal holds is replayed.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn mount(&mut self, options: &str) -> Result<(), NoMount> {
        let options = format!("loop,{options}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", options.trim_end_matches(',')]);
        run(mount.arg(&self.image).arg(&self.folder))?;
        self.is_mounted = true;
        Ok(())
    }

    /// Where it is mounted.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whatever has not reached the disk by now never will.
    ///
    /// # Panics
    /// When the file system does not stop.
    #[expect(unsafe_code, reason = "no crate has this call")]
    pub fn cut_the_power(&self) {
        let folder = File::open(&self.folder).expect("it is mounted");
        // SAFETY: the call reads one `u32`, as its number says, and is known to every ext4; another file system answers ENOTTY.
        let stopped = unsafe { ioctl(&folder, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) };
        stopped.expect("an ext4 stops");
    }

    /// Forgets what is in memory of it too: what is read next comes from where the image is.
    ///
    /// # Panics
    /// When it cannot be unmounted, because something stays open in it.
    pub fn unmount(&mut self) {
        // Threads that learn what is in a tier end soon after the tier.
        let deadline = Instant::now() + Duration::from_secs(30);
        let unmount = || run(Command::new("umount").arg(&self.folder));
        while let Err(busy) = unmount() {
            assert!(Instant::now() < deadline, "{busy}");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.is_mounted = false;
        if let Ok(image) = File::open(&self.image) {
            let _ = image.sync_all();
            let _ = rustix::fs::fadvise(&image, 0, None, Advice::DontNeed);
        }
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = run(Command::new("umount").arg("-l").arg(&self.folder));
        }
    }
}

impl std::fmt::Display for NoMount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "no file system of its own, which needs root, loop devices and mkfs.ext4: {}",
            self.0
        )
    }
}

fn run(command: &mut Command) -> Result<(), NoMount> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| NoMount(format!("{program}: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(NoMount(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}

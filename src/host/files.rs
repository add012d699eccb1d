//! Files that the module keeps up to date: replaced whole, and only if they are its own.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

use crate::host::contract::abi::host_name;
use crate::host::contract::process;
use crate::{memory, system};

/// Bytes of the stack of a thread that writes.
const STACK: usize = 1 << 20;

/// Writes a file, in a thread of its own: a disk may be slow or never answer, and the process
/// must go on. One process has one writer for each file.
pub struct FileWriter {
    /// Locked as long as this process lives: another host with the same file would undo what
    /// this one writes.
    lock: Option<File>,
    writing: Option<JoinHandle<Written>>,
}

/// The lock and the bytes of the new file.
type Written = (Option<File>, Result<usize, String>);

impl FileWriter {
    pub const NEW: Self = FileWriter { lock: None, writing: None };

    pub fn is_busy(&self) -> bool {
        self.writing.is_some()
    }

    /// Begins to replace the file by what `bytes` makes: at any moment a reader finds the old
    /// one or the new one. `check` returns whether an existing file may be replaced; `bytes`
    /// runs when a new one can be made. Both run in the thread: they must not log, count, or
    /// use shared memory.
    ///
    /// # Errors
    /// There is no thread, or the file is still being written.
    pub fn start(
        &mut self,
        path: &Path,
        check: fn(&Path) -> Result<(), String>,
        bytes: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
    ) -> Result<(), String> {
        if self.is_busy() {
            return Err("it is being written".into());
        }
        let (path, mut lock) = (path.to_owned(), self.lock.take());
        let write = move || {
            let written = check(&path).and_then(|()| replace(&path, &mut lock, bytes));
            (lock, written)
        };
        let thread = Builder::new().name("sipwarden".into()).stack_size(STACK).spawn(write);
        self.writing = Some(thread.map_err(|e| format!("there is no thread to write it: {e}"))?);
        Ok(())
    }

    /// The result of a write, once: the bytes of the new file. None while it goes on.
    ///
    /// # Errors
    /// In it: what is in the way, and who owns it.
    pub fn done(&mut self) -> Option<Result<usize, String>> {
        let thread = self.writing.take_if(|thread| thread.is_finished())?;
        match thread.join() {
            Ok((lock, written)) => {
                self.lock = lock;
                Some(written)
            }
            Err(_) => Some(Err("BUG: a panic while it was written".into())),
        }
    }
}

fn replace(
    path: &Path,
    lock: &mut Option<File>,
    bytes: impl FnOnce() -> Result<Vec<u8>, String>,
) -> Result<usize, String> {
    if lock.is_none() {
        *lock = Some(lock_of(path)?);
    }
    let new = beside(path, ".new");
    let file = create(&new).map_err(|e| cannot(&new, &e))?;
    let written = bytes().and_then(|bytes| {
        let renamed = fill(file, &bytes).and_then(|()| fs::rename(&new, path));
        renamed.map(|()| bytes.len()).map_err(|e| cannot(path, &e))
    });
    match written {
        Ok(_) => sync_folder(path),
        // Half a file would take the room that is missing.
        Err(_) => drop(fs::remove_file(&new)),
    }
    written
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the new name durable. Where that fails, a power cut brings the old file back.
fn sync_folder(path: &Path) {
    let folder = path.parent().map(File::open);
    let _ = folder.map(|folder| folder.and_then(|folder| folder.sync_all()));
}

fn lock_of(path: &Path) -> Result<File, String> {
    let path = beside(path, ".lock");
    let file = create(&path).map_err(|e| match e.kind() {
        ErrorKind::PermissionDenied => {
            let why = cannot(&path, &e);
            format!("{why}; .lock marks the file as in use: chown the folder too")
        }
        _ => cannot(&path, &e),
    })?;
    match system::try_lock(&file) {
        Ok(true) => Ok(file),
        Ok(false) => Err(format!(
            "another process writes it, and has locked {}: give each {} a file of its own",
            path.display(),
            host_name()
        )),
        Err(e) => Err(cannot(&path, &e)),
    }
}

/// Opens a file for writing, emptied; never follows a link.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o640).custom_flags(libc::O_NOFOLLOW);
    options.open(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What could not be done with a file; where a right is missing, its owner.
fn cannot(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    let of_folder = path.parent().and_then(|folder| fs::metadata(folder).ok());
    let of = fs::symlink_metadata(path).map(|of| ("it", of)).ok();
    match of.or(of_folder.map(|of| ("its folder", of))) {
        Some((what, of)) if error.kind() == ErrorKind::PermissionDenied => {
            let (owner, own) = (user(of.uid()), user(process::user()));
            format!("{shown}: {error}; {what} belongs to {owner}, and this process is {own}")
        }
        _ => format!("{shown}: {error}"),
    }
}

/// A file of another user stays as it is, also where the folder would let us replace it.
///
/// # Errors
/// Whose it is, or what it is.
pub fn refuse_others(path: &Path) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Ok(of) if !of.is_file() => Err("it is not a regular file".into()),
        Ok(of) if of.uid() != process::user() => {
            let (owner, own) = (user(of.uid()), user(process::user()));
            Err(format!(
                "it belongs to {owner}, and this process is {own}: chown it, or name another"
            ))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot(path, &error)),
    }
}

/// Whether a path begins with `/`: the host changes its folder when it starts.
pub fn check_absolute(path: &Path) -> Result<(), String> {
    match path.is_absolute() {
        true => Ok(()),
        false => {
            let path = path.display().to_string();
            Err(format!("\"{}\" does not begin with /", path.escape_debug()))
        }
    }
}

/// Whether a file could be written.
pub fn check_writable(path: &Path) -> Result<(), String> {
    refuse_others(path)?;
    let trial = beside(path, ".try");
    create(&trial).and_then(|_| fs::remove_file(&trial)).map_err(|e| cannot(&trial, &e))
}

/// Opens a file to which only we and root can write.
///
/// # Errors
/// What is wrong with it; None if there is none.
pub fn open_trusted(path: &Path) -> Result<Option<File>, String> {
    let mut options = OpenOptions::new();
    // A pipe in its place must not block.
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err("it is a symbolic link".into());
        }
        Err(error) => return Err(cannot(path, &error)),
    };
    let of = file.metadata().map_err(|e| cannot(path, &e))?;
    if !of.is_file() {
        return Err("it is not a regular file".into());
    }
    if of.uid() != process::user() && of.uid() != 0 {
        let (owner, own) = (user(of.uid()), user(process::user()));
        return Err(format!("it belongs to {owner}, neither to {own} nor to root"));
    }
    if of.mode() & 0o022 != 0 {
        let mode = of.mode() & 0o7777;
        return Err(format!("others may write to it (mode {mode:o}): chmod go-w"));
    }
    Ok(Some(file))
}

/// The bytes of a file to which only we and root can write; None if there is none.
///
/// # Errors
/// What is wrong with it, for example more than `most` bytes.
pub fn read_trusted(path: &Path, most: u64) -> Result<Option<Vec<u8>>, String> {
    let Some(file) = open_trusted(path)? else { return Ok(None) };
    let cannot = |e: io::Error| format!("it cannot be read: {e}");
    let size = file.metadata().map_err(cannot)?.len();
    if size > most {
        return Err(format!("it has {size} bytes, more than {most}"));
    }
    memory::ask_for(2 * size as usize)?;
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(size).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(Some(bytes))
}

/// Whether a file begins with these bytes, is empty, or is not there.
///
/// # Errors
/// It cannot be opened.
pub fn begins_with(path: &Path, magic: &[u8]) -> Result<bool, String> {
    let mut begin = Vec::new();
    if let Some(file) = open_trusted(path)? {
        let _ = file.take(magic.len() as u64).read_to_end(&mut begin);
    }
    Ok(begin.is_empty() || begin == magic)
}

/// A user by name, where `/etc/passwd` knows it.
fn user(id: u32) -> String {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    });
    name.map_or_else(|| format!("user {id}"), |name| format!("{name} (user {id})"))
}

//! The programs of the Kamailio that is tested.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::project;

/// `kamailio` or `kamcmd`: those beside the modules that `KAMAILIO_MODULES` names, of
/// a server that was built from source; else the installed ones.
pub fn program(name: &str) -> Command {
    let modules = std::env::var_os("KAMAILIO_MODULES").unwrap_or_default();
    let built = Path::new(&modules).ancestors().map(|dir| dir.join("sbin").join(name));
    built.into_iter().find(|path| path.exists()).map_or_else(|| Command::new(name), Command::new)
}

/// A program, run by the words of `wrapper` if there are some.
pub fn under(wrapper: &[String], program: &OsStr) -> Command {
    let mut words = wrapper.iter().map(OsStr::new).chain([program]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

/// Where that program is.
pub fn which(name: &str) -> String {
    let program = program(name).get_program().to_string_lossy().into_owned();
    let found = Command::new("which").arg(program).output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim().into()
}

/// What `-L` says so that configurations find Kamailio's modules and ours by name.
pub fn search_path() -> String {
    let found =
        Command::new("tools/modules.sh").arg("kamailio").current_dir(project()).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let modules = String::from_utf8(found.stdout).unwrap();
    let ours = super::kamailio::module();
    format!("{}/:{}/", modules.trim(), ours.parent().unwrap().display())
}

/// Where a Kamailio with this folder listens for kamcmd.
fn control(folder: &Path) -> String {
    format!("unix:{}/ctl", folder.display())
}

/// The command that asks it, for scripts.
pub fn kamcmd_of(folder: &Path) -> String {
    let kamcmd = program("kamcmd");
    format!("{} -s {}", kamcmd.get_program().to_string_lossy(), control(folder))
}

/// What an operator types; standard output and error. `folder` has the socket `ctl`.
pub fn kamcmd(folder: &Path, args: &[&str]) -> String {
    let out = program("kamcmd").args(["-s", &control(folder)]).args(args).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

"""Which profiles the installer chooses. Dry runs: the plan is what is looked at, and nothing may change."""

from __future__ import annotations

import pytest


@pytest.fixture
def plan(machine, small_wheel):
    """A function: the plan that the installer prints, or what it says instead of one."""
    wheel = small_wheel()

    def run(*options, **variables) -> str:
        before = machine.contents()
        done = machine.run("--dry-run", "--package", wheel, *options, variables=variables)
        assert machine.contents() == before
        assert (done.returncode == 0) == ("nothing was changed" in done.stdout), done.stderr
        return done.stdout + done.stderr

    return run


def places(text: str) -> list[str]:
    lines = [line.split(" into ")[1] for line in text.splitlines() if "the plug-in goes into" in line]
    return list(dict.fromkeys(lines))


@pytest.mark.parametrize("version", ["3.0.4", "3.2.6"])
def test_profile_is_named_after_the_version(machine, plan, version):
    profile = machine.add_gimp(version)
    text = plan()
    assert f"GIMP {version}" in text
    assert places(text) == [str(profile / "plug-ins" / "sama_select")]


def test_gimp_under_its_plain_name_is_found(machine, plan):
    machine.add_program("gimp", "GNU Image Manipulation Program Version 3.4.0")
    assert places(plan()) == [str(machine.config / "3.4" / "plug-ins" / "sama_select")]


def test_two_gimps_get_one_plug_in_each(machine, plan):
    profiles = [machine.add_gimp("3.0.4"), machine.add_gimp("3.2.6")]
    assert places(plan()) == [str(profile / "plug-ins" / "sama_select") for profile in profiles]


def test_profile_without_its_program_is_served_too(machine, plan):
    (machine.config / "3.0").mkdir(parents=True)
    text = plan()
    assert "program not found" in text
    assert places(text) == [str(machine.config / "3.0" / "plug-ins" / "sama_select")]


def test_flatpak_keeps_its_profile_in_the_usual_place(machine, plan):
    machine.add_program("flatpak", "org.gnome.Maps\t46.1\norg.gimp.GIMP\t3.0.6")
    text = plan()
    assert "GIMP 3.0.6: Flatpak, " in text
    assert "not tested with Flatpak" in text
    assert places(text) == [str(machine.config / "3.0" / "plug-ins" / "sama_select")]


def test_only_gimp_2_is_refused_with_a_remedy(machine, plan):
    machine.add_gimp("2.10.34")
    text = plan()
    assert "Only GIMP 2.10.34 was found" in text
    assert "Install GIMP 3" in text


def test_settings_of_gimp_2_alone_are_no_gimp_3(machine, plan):
    (machine.config / "2.10").mkdir(parents=True)
    assert "Only GIMP 2.10 was found" in plan()


def test_no_gimp_is_refused_with_a_remedy(plan):
    text = plan()
    assert "No GIMP was found" in text
    assert "--gimp-profile" in text


def test_a_program_that_breaks_is_no_gimp(machine, plan):
    (machine.programs / "gimp").write_text("#!/bin/sh\nexit 1\n")
    (machine.programs / "gimp").chmod(0o755)
    assert "No GIMP was found" in plan()


def test_named_profiles_are_the_only_ones(machine, plan):
    machine.add_gimp("3.0.4")
    text = plan("--gimp-profile", machine.home / "one", "--gimp-profile", machine.home / "two")
    assert places(text) == [str(machine.home / name / "plug-ins" / "sama_select") for name in ("one", "two")]


def test_a_named_profile_needs_no_gimp(machine, plan):
    machine.add_gimp("2.10.34")
    assert places(plan("--gimp-profile", machine.home / "one"))


def test_profile_may_be_named_by_its_plug_ins_folder(machine, plan):
    text = plan("--gimp-profile", machine.home / "one" / "plug-ins")
    assert places(text) == [str(machine.home / "one" / "plug-ins" / "sama_select")]


def test_gimp3_directory_is_honoured(machine, plan):
    machine.add_gimp("3.0.4")
    text = plan(GIMP3_DIRECTORY=str(machine.home / "elsewhere"))
    assert places(text) == [str(machine.home / "elsewhere" / "plug-ins" / "sama_select")]


def test_relative_gimp3_directory_starts_at_home_as_in_gimp(machine, plan):
    text = plan(GIMP3_DIRECTORY="elsewhere")
    assert places(text) == [str(machine.home / "elsewhere" / "plug-ins" / "sama_select")]


def test_xdg_config_home_is_honoured(machine, plan):
    machine.add_gimp("3.0.4")
    text = plan(XDG_CONFIG_HOME=str(machine.home / "settings"))
    assert places(text) == [str(machine.home / "settings" / "GIMP" / "3.0" / "plug-ins" / "sama_select")]


def test_sudo_is_refused(machine, plan):
    machine.add_gimp("3.0.4")
    assert "without sudo" in plan(SUDO_USER="zoe")

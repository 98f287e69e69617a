"""Who may do what with a job is replaced only when it differs, and an owner stays."""

from typing import Any

from blocks.databricks import AccessControl
from blocks.databricks.permissions import permissions_to_set

ADMINS = {
    "group_name": "admins",
    "all_permissions": [{"permission_level": "CAN_MANAGE", "inherited": True}],
}


def shown(*entries: dict[str, str]) -> dict[str, Any]:
    """The API's answer for these permissions."""
    return {
        "access_control_list": [
            {
                kind: name,
                "display_name": "x",
                "all_permissions": [{"permission_level": level, "inherited": False}],
            }
            for entry in entries
            for level in [entry["permission_level"]]
            for kind, name in entry.items()
            if kind != "permission_level"
        ]
        + [ADMINS]
    }


ME = {"user_name": "me@example.com", "permission_level": "IS_OWNER"}
ROBOT = {"service_principal_name": "1234", "permission_level": "IS_OWNER"}
TEAM = {"group_name": "team", "permission_level": "CAN_MANAGE_RUN"}


def wanted(*entries: dict[str, str]) -> list[AccessControl]:
    return [AccessControl.model_validate(entry) for entry in entries]


def test_the_owner_stays_unless_another_one_is_wanted() -> None:
    assert permissions_to_set(wanted(TEAM), shown(ME)) == [TEAM, ME]
    assert permissions_to_set(wanted(TEAM, ROBOT), shown(ME, TEAM)) == [TEAM, ROBOT]


def test_an_owner_keeps_that_when_less_is_wanted_for_them() -> None:
    less = {**ME, "permission_level": "CAN_VIEW"}
    assert permissions_to_set(wanted(less, TEAM), shown(ME)) == [ME, TEAM]


def test_what_is_there_already_is_left_alone() -> None:
    assert permissions_to_set(wanted(TEAM), shown(ME, TEAM)) is None
    assert permissions_to_set(wanted(ROBOT, TEAM), shown(TEAM, ROBOT)) is None


def test_what_is_not_wanted_any_more_goes() -> None:
    other = {**TEAM, "group_name": "other"}
    assert permissions_to_set(wanted(TEAM), shown(ME, TEAM, other)) == [TEAM, ME]

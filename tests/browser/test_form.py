"""The run form of the deployment ``country``, as a person fills it in in the Prefect UI."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, Page, expect
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.cli import WORK_POOL
from tests.browser.served import Served

pytestmark = pytest.mark.slow

PARAMETERS = ("Country", "Sources", "Output folder", "Keep temporary data", "Repair", "Connections")


@dataclass(frozen=True)
class Form:
    """The form in a page.

    Attributes:
        page: The page.
        client: Client of the Prefect server.
        deployment: The deployment whose runs it makes.
    """

    page: Page
    client: SyncPrefectClient
    deployment: DeploymentResponse

    def field(self, label: str) -> Locator:
        return self.page.get_by_label(label)

    def submit(self) -> None:
        self.page.get_by_role("button", name="Submit").click()

    def submitted(self) -> FlowRun:
        """Submit it and return the run that this made."""
        before = {run.id for run in self.runs()}
        self.submit()
        self.page.wait_for_url(lambda url: not url.endswith("/run"))
        (run,) = [run for run in self.runs() if run.id not in before]
        return run

    def runs(self) -> list[FlowRun]:
        return runs_of(self.deployment, self.client)


def runs_of(deployment: DeploymentResponse, client: SyncPrefectClient) -> list[FlowRun]:
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    return client.read_flow_runs(deployment_filter=chosen)


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_API_URL: f"{served.url}/api"}),
        get_client(sync_client=True) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def deployment(client: SyncPrefectClient) -> Iterator[DeploymentResponse]:
    """The deployment, while its work pool is paused: its runs stay as they were made."""
    client.update_work_pool(WORK_POOL, WorkPoolUpdate(is_paused=True))
    deployed = client.read_deployment_by_name("renewable-analysis/country")
    yield deployed
    for run in runs_of(deployed, client):
        client.delete_flow_run(run.id)
    client.update_work_pool(WORK_POOL, WorkPoolUpdate(is_paused=False))


@pytest.fixture
def form(
    page: Page, served: Served, client: SyncPrefectClient, deployment: DeploymentResponse
) -> Form:
    """The form, as it is when it is opened."""
    page.set_default_timeout(60_000)
    page.goto(f"{served.url}/v2/deployments/deployment/{deployment.id}/run")
    expect(page.get_by_role("tab", name="Choose")).to_be_visible(timeout=60_000)
    return Form(page, client, deployment)


@pytest.mark.parametrize("width", [1280, 390])
def test_every_parameter_is_explained_and_fits_the_screen(form: Form, width: int) -> None:
    page = form.page
    page.set_viewport_size({"width": width, "height": 900})
    shown = [page.get_by_text(name).first.bounding_box() for name in PARAMETERS]
    tops = [box["y"] for box in shown if box]
    assert len(tops) == len(PARAMETERS)
    assert tops == sorted(tops)
    expect(page.get_by_text("Choose one of the sample's, or type any name")).to_be_visible()
    # Both nested models are cards, with fields that have titles and help of their own.
    expect(page.get_by_text("Repairs of a job run in all")).to_be_visible()
    expect(form.field("Max Repairs")).to_have_value("4")
    expect(page.get_by_text("When Exhausted")).to_be_visible()
    expect(page.get_by_text("Name of the Databricks Job block.")).to_be_visible()
    expect(form.field("Databricks Job (Optional)")).to_have_value("renewables")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_country_is_chosen_from_a_list_that_can_be_searched(form: Form) -> None:
    form.field("Select Choose").click()
    form.page.get_by_placeholder("Search...").fill("nor")
    form.page.get_by_role("option", name="Norway").click()
    form.field("Max Repairs").fill("2")
    run = form.submitted()
    assert run.parameters["country"] == "Norway"
    assert run.parameters["repair"]["max_repairs"] == 2
    assert run.parameters["sources"] == []
    assert run.parameters["output"] == "output"


def test_a_country_that_only_other_sources_have_is_typed(form: Form) -> None:
    form.page.get_by_role("tab", name="Type").click()
    form.page.get_by_role("tabpanel", name="Type").get_by_role("textbox").fill("Spain")
    form.page.get_by_role("button", name="Add item").click()
    url = "https://example.com/share-electricity-hydro.csv"
    form.page.get_by_role("textbox").nth(2).fill(url)
    run = form.submitted()
    assert run.parameters["country"] == "Spain"
    assert run.parameters["sources"] == [url]


def test_a_bad_value_is_refused_before_anything_runs(form: Form) -> None:
    page = form.page
    before = len(form.runs())
    form.submit()
    expect(page.get_by_text("'country' is a required property").first).to_be_visible()

    page.get_by_role("tab", name="Type").click()
    name = page.get_by_role("tabpanel", name="Type").get_by_role("textbox")
    name.fill("  ")
    form.submit()
    expect(page.get_by_text("does not match")).to_be_visible()

    name.fill("Norway")
    page.get_by_role("button", name="Add item").click()
    form.submit()
    expect(page.get_by_text("None is not of type 'string'")).to_be_visible()
    page.get_by_role("textbox").nth(2).fill("source.csv")
    form.field("Max Repairs").fill("-1")
    form.submit()
    assert form.field("Max Repairs").evaluate("field => field.validationMessage")
    assert page.url.endswith("/run")
    assert len(form.runs()) == before

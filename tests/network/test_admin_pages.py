"""The admin pages in a real browser, 1400 pixels wide, against the running network."""

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from localnet import apt
from tests.network.running import Running, shell, until

SERVICES = ("facilitator", "validator", "miner")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,900",
)
HIDDEN_COLUMNS = """
    const table = document.querySelector('#result_list');
    return table ? table.scrollWidth - table.parentElement.clientWidth : 0;
"""

# Of a chart that was drawn, some pixel is not empty.
IS_DRAWN = """
    const canvas = document.querySelector('canvas[data-drawn]');
    if (canvas === null) return false;
    const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return canvas.width > 0 && all.some((value) => value > 0);
"""
SCORE = """
    WITH cycle AS (
        INSERT INTO scores_scoredcycle
            (cycle_start, cycle_stop, formula, version, facts, parameters, computed_at)
        VALUES (-20, -10, 'jobs', 'jobs-1', '', '', now()) RETURNING id
    )
    INSERT INTO scores_score (cycle_id, hotkey, uid, share, u16, document, signature)
    SELECT id, 'drawn', 9999, 0.5, 65535, %s, '' FROM cycle RETURNING cycle_id
"""
DOCUMENT = '{"items": [{"executor_class": "always_on.test", "amount": "0.5"}]}'


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        if os.geteuid() != 0:
            pytest.skip("needs the packages chromium and chromium-driver")
        apt.install("chromium", "chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in OPTIONS:
        options.add_argument(option)
    # What the console says, such as a violation of the policy for what pages may load.
    options.set_capability("goog:loggingPrefs", {"browser": "SEVERE"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.implicitly_wait(10)
    yield driver
    driver.quit()


@pytest.fixture
async def jobs(network: Running) -> list[str]:
    """A job that failed by its own fault, known to all three services; image names are long."""
    job = await network.run(shell("echo bad >&2; exit 3"))
    await until(
        lambda: network.rows("miner", "SELECT 1 FROM miner_acceptedjob WHERE uuid = %s", job.uuid),
        "the miner's row",
    )
    return [job.uuid]


@pytest.fixture(scope="module")
def admin(browser: webdriver.Chrome, network: Running) -> dict[str, str]:
    """Logged in to all three services, one after the other, in one browser; their addresses."""
    addresses = {}
    for service in SERVICES:
        env = {
            name: network.env[f"{service.upper()}_ADMIN_{name}"]
            for name in ("URL", "USER", "PASSWORD")
        }
        browser.get(env["URL"])
        assert "Password" in text(browser), browser.page_source
        browser.find_element(By.ID, "id_username").send_keys(env["USER"])
        browser.find_element(By.ID, "id_password").send_keys(env["PASSWORD"])
        browser.find_element(By.CSS_SELECTOR, "input[type=submit]").click()
        wait_for_page(browser, "Site administration")
        addresses[service] = env["URL"]
    return addresses


def text(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def wait_for_page(browser: webdriver.Chrome, expected: str) -> None:
    """Wait until the page that a click asked for is shown.

    A click returns before its page is loaded, and a page that is still on its way replaces the
    one that the next `get` asks for.
    """
    wait = WebDriverWait(browser, 60, ignored_exceptions=[WebDriverException])
    wait.until(lambda shown: expected in text(shown), f"a page with {expected!r}")


def lists(browser: webdriver.Chrome, address: str) -> list[str]:
    browser.get(address)
    links = browser.find_elements(By.CSS_SELECTOR, "#content-main th a")
    return [str(link.get_attribute("href")) for link in links]


async def test_a_session_at_one_service_does_not_end_those_at_the_others(
    browser: webdriver.Chrome, admin: dict[str, str]
) -> None:
    for service, address in admin.items():
        browser.get(address)
        assert "Site administration" in text(browser), service


async def test_no_list_hides_a_column(
    browser: webdriver.Chrome, admin: dict[str, str], jobs: list[str]
) -> None:
    pages = [page for address in admin.values() for page in lists(browser, address)]
    assert len(pages) > 20
    hidden = {}
    for page in pages:
        browser.get(page)
        hidden[page] = browser.execute_script(HIDDEN_COLUMNS)
    assert {page: pixels for page, pixels in hidden.items() if pixels > 0} == {}


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("facilitator", "facilitator/job"),
        ("validator", "jobs/job"),
        ("miner", "jobs/job"),
    ],
)
async def test_a_failed_job_s_page_says_whose_fault_it_is_and_what_to_do(
    browser: webdriver.Chrome, admin: dict[str, str], jobs: list[str], service: str, path: str
) -> None:
    browser.get(f"{admin[service]}{path}/{jobs[0]}/change/")
    shown = text(browser)
    assert "read what the job printed" in shown
    assert "user" in shown


async def test_the_executors_are_one_click_away(
    browser: webdriver.Chrome, admin: dict[str, str]
) -> None:
    browser.get(admin["miner"])
    browser.find_element(By.LINK_TEXT, "EXECUTORS").click()
    wait_for_page(browser, "always_on.test")


async def test_a_neuron_s_page_says_why_it_gets_jobs_or_not(
    browser: webdriver.Chrome, admin: dict[str, str], network: Running
) -> None:
    for hotkey, expected in (
        (network.env["MINER_HOTKEY"], "yes: it offers"),
        (network.env["VALIDATOR_HOTKEY"], "no: this is our own hotkey"),
    ):
        browser.get(f"{admin['validator']}network/neuron/{hotkey}/change/")
        assert expected in text(browser)


async def test_the_weights_page_says_when_they_are_set_next(
    browser: webdriver.Chrome, admin: dict[str, str]
) -> None:
    browser.get(f"{admin['validator']}weights/weightsset/")
    assert "Weights are set between blocks" in text(browser)


async def test_a_chart_is_drawn_by_what_the_server_itself_has(
    browser: webdriver.Chrome, admin: dict[str, str], network: Running
) -> None:
    ((cycle,),) = network.rows("validator", SCORE, DOCUMENT)
    try:
        browser.get_log("browser")
        browser.get(f"{admin['validator']}points/?hotkey=drawn&cycles=100")
        WebDriverWait(browser, 30).until(lambda shown: shown.execute_script(IS_DRAWN))
        assert "drawn always_on.test" in text(browser)
        assert "50.0" in text(browser)
        browser.get(f"{admin['validator']}cycles/")
        assert "Weights are set between blocks" in text(browser)
        logged = [one["message"] for one in browser.get_log("browser")]
        assert [message for message in logged if "favicon" not in message] == []
    finally:
        network.rows("validator", "DELETE FROM scores_score WHERE cycle_id = %s RETURNING 1", cycle)
        network.rows("validator", "DELETE FROM scores_scoredcycle WHERE id = %s RETURNING 1", cycle)

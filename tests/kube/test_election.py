from __future__ import annotations

import asyncio

from aiohttp import web
from tests.kube.fake_api import fake_api, until
from tests.kube.loop import in_loop

from hami_core.kube.api import ApiServer
from hami_core.kube.election import Elector, campaigning
from hami_core.kube.settings import ElectionSettings

LEASE = "/apis/coordination.k8s.io/v1/namespaces/hami/leases/hami"


def elector(api: ApiServer, identity: str, *, lease_s: int = 15) -> Elector:
    settings = ElectionSettings(
        namespace="hami", name="hami", identity=identity, retry_s=0.05, lease_s=lease_s, renew_deadline_s=0.6
    )
    return Elector(api, settings)


@in_loop
async def test_of_two_one_leads_and_the_other_follows_when_it_stops() -> None:
    async with fake_api() as (fake, api), campaigning(elector(api, "second-to-come")) as first:
        await first.gained.wait()
        second = elector(api, "other")
        async with campaigning(second):
            await second.tried.wait()
            assert (first.leads, second.leads) == (True, False)
            assert second.leader == "second-to-come"
            fake.item(LEASE)["spec"]["holderIdentity"] = ""  # what a leader that ends in order writes
            await until(lambda: second.leads or first.leads)


@in_loop
async def test_the_lease_is_given_back_at_the_end() -> None:
    async with fake_api() as (fake, api):
        async with campaigning(elector(api, "a")) as leader:
            await leader.gained.wait()
        assert fake.item(LEASE)["spec"].get("holderIdentity", "") == ""
        assert not leader.leads


@in_loop
async def test_a_leader_that_cannot_renew_stops_by_itself() -> None:
    async with fake_api() as (fake, api), campaigning(elector(api, "a")) as leader:
        await leader.gained.wait()

        async def down(method: str, path: str) -> web.Response | None:
            return web.json_response({"message": "down"}, status=403)

        fake.faults.append(down)
        await until(lambda: not leader.leads)
        await until(lambda: not leader.gained.is_set())


@in_loop
async def test_a_lease_that_nobody_renews_is_taken_over_after_its_time() -> None:
    async with fake_api() as (fake, api):
        spec = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": "2999-01-01T00:00:00.000000Z"}
        await fake.put(LEASE, {"metadata": {"name": "hami"}, "spec": spec})
        async with campaigning(elector(api, "b")) as heir:
            await heir.tried.wait()
            assert not heir.leads  # its clock says nothing to us: we watch the record for its duration first
            await heir.gained.wait()
            assert fake.item(LEASE)["spec"]["leaseTransitions"] == 1


@in_loop
async def test_a_name_that_begins_like_ours_is_not_ours() -> None:
    async with fake_api() as (fake, api):
        spec = {"holderIdentity": "sched-10", "leaseDurationSeconds": 60, "renewTime": "2999-01-01T00:00:00.000000Z"}
        await fake.put(LEASE, {"metadata": {"name": "hami"}, "spec": spec})
        async with campaigning(elector(api, "sched-1")) as other:
            await other.tried.wait()
            await asyncio.sleep(0.2)
            assert not other.leads


@in_loop
async def test_without_an_election_the_process_leads_at_once() -> None:
    async with fake_api() as (_fake, api):
        assert Elector(api, None).leads

"""The SDK's codec decodes the metadata to what was described."""

from localnet.chain.metadata import metadata
from localnet.chain.pallets import pallets
from localnet.chain.runtime import APIS, EXTENSIONS, LocalRuntime, description


def test_the_codec_reads_it_as_version_15(runtime: LocalRuntime) -> None:
    assert runtime.codec.is_v15
    assert runtime.codec.extrinsic_version == 4


def test_every_pallet_call_error_and_item_is_found_again(runtime: LocalRuntime) -> None:
    decoded = {pallet["name"]: pallet for pallet in runtime.codec.metadata_ir()["pallets"]}
    for pallet in description(1000).pallets:
        found = decoded[pallet.name]
        assert found["index"] == pallet.index
        assert [call["name"] for call in found["calls"]] == [one.name for one in pallet.calls]
        assert [item["name"] for item in found["storage"]] == [one.name for one in pallet.storage]
        assert {error["index"]: error["name"] for error in found["errors"]} == {
            one.index: one.name for one in pallet.errors
        }


def test_runtime_apis_and_signed_extensions_are_found_again(runtime: LocalRuntime) -> None:
    decoded = runtime.codec.runtime_api_map()
    assert {api: set(methods) for api, methods in decoded.items()} == {
        api.name: {method.name for method in api.methods} for api in APIS
    }
    names = [extension.name for extension in EXTENSIONS]
    assert runtime.codec.signed_extension_identifiers() == names


def test_the_same_description_gives_the_same_bytes() -> None:
    assert metadata(description(1000)) == metadata(description(1000))
    assert pallets(1000) != pallets(2000)

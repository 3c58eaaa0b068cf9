"""Documents from a data set of Ray's."""

import ray

from pipelines import DatasetDocumentProvider, InMemoryDocumentProvider
from pipelines.api.documents import provider_of


def test_a_ray_dataset_is_a_source_of_documents(tmp_path):
    texts = [f"Note {number} about bells." for number in range(20)]
    dataset = ray.data.from_items([{"text": text, "n": number} for number, text in enumerate(texts)])
    provider = provider_of(dataset)
    assert isinstance(provider, DatasetDocumentProvider)
    assert sorted(one.text for one in provider) == sorted(texts) and len(provider) == 20
    assert provider.section(tmp_path)["text_field"] == "text"
    assert InMemoryDocumentProvider(texts).section(tmp_path)["path"][0].startswith(str(tmp_path))

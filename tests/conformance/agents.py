"""The gRPC services of agents, called as any tool would: through what server reflection says of them."""

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

PACKAGE = "streamkeeper.v1alpha1"


class Agent:
    """One agent. `call("Membership", "Cordon", member=4)` gives a dictionary, in the fields' own names, defaults included."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)

    def services(self):
        return sorted(self.database.get_services())

    def health(self, service=""):
        stub = health_pb2_grpc.HealthStub(self.channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    def _method(self, service, method):
        found = self.pool.FindServiceByName(f"{PACKAGE}.{service}").FindMethodByName(method)
        kinds = [message_factory.GetMessageClass(kind) for kind in (found.input_type, found.output_type)]
        return f"/{PACKAGE}.{service}/{method}", kinds[0], kinds[1]

    def call(self, service, method, timeout=15, **fields):
        path, asked, answered = self._method(service, method)
        request = json_format.ParseDict(fields, asked())
        call = self.channel.unary_unary(
            path, request_serializer=asked.SerializeToString, response_deserializer=answered.FromString
        )
        return _plain(call(request, timeout=timeout))

    def stream(self, service, method, timeout=120, **fields):
        path, asked, answered = self._method(service, method)
        request = json_format.ParseDict(fields, asked())
        call = self.channel.unary_stream(
            path, request_serializer=asked.SerializeToString, response_deserializer=answered.FromString
        )
        for message in call(request, timeout=timeout):
            yield _plain(message)

    def close(self):
        self.channel.close()


def _plain(message):
    """A message as a dictionary; 64-bit numbers are numbers, not the text that JSON makes of them."""
    plain = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _numbers(plain, message.DESCRIPTOR)


def _numbers(plain, descriptor):
    for field in descriptor.fields:
        value = plain.get(field.name)
        if value is None or (field.message_type and field.message_type.GetOptions().map_entry):
            continue
        if field.message_type:
            each = value if isinstance(value, list) else [value]
            [_numbers(one, field.message_type) for one in each]
        elif isinstance(value, str) and field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
            plain[field.name] = int(value)
    return plain

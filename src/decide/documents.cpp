#include "opspilot/decide/documents-inl.hpp"
